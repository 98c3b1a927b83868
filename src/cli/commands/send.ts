/** `millrace send` */

import type { Command } from 'commander';
import { count } from '../../common/reporting/count.js';
import { createProducer } from '../../producer/producer.js';
import { ADDRESS_HELP, addHelp, type Execute } from '../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import { importQueue } from '../import-module.js';
import { quoted } from '../message-input.js';
import { durationOption, nameValue, shortTextValue, timeValue } from '../option-values.js';
import type { Output } from '../output.js';
import { addMessageOptions, type InputSender, type SendInputFlags, sendInput } from '../send-input.js';
import { makeIfMissing, sendingQueue, sendingRoute } from '../text-queue.js';

interface SendFlags extends SendInputFlags {
  readonly queue?: string;
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly type?: string;
  readonly delay?: number;
  readonly at?: Date;
}

const EXAMPLES = `
Examples:
  $ millrace send 'Hello World!'
  $ millrace send -q orders '{"id":"A-1","total":12.5}'
  $ millrace send -q images -f cat.png -H tenant:blue -u amqp://localhost
  $ millrace send -q reminders 'turn the pancake' --delay 2m
  $ tail -f access.log | millrace send -l -q hits
  $ millrace send 'out of grain' -e logs_direct -k error -u amqp://localhost`;

export function addSendCommand(program: Command, execute: Execute): void {
  const command = program
    .command('send')
    .description('Sends a message, or with --lines one per line of input, and exits when they are stored.')
    .argument('[message...]', "the message; '-', or no words and piped input, reads standard input")
    .option(
      '-q, --queue <name>',
      'the queue; created with the defaults of defineQueue if missing (default: "hello", as in the RabbitMQ tutorials)',
    )
    .option('-e, --exchange <name>', 'send to this exchange, which must exist, instead of a queue', nameValue)
    .option('-k, --routing-key <key>', 'the routing key at the exchange (default: none)', shortTextValue)
    .addOption(durationOption('--delay <duration>', 'deliver the message after that time (queues only)'))
    .option('--at <time>', 'deliver it at that time, such as 2026-12-01T03:00Z (queues only)', timeValue)
    .option(
      '--schema <module>',
      'check the message first; the default export is a schema or a queue made by defineQueue',
    )
    .option('--type <type>', 'the kind of message, for receivers that handle several', shortTextValue);
  addMessageOptions(command).action((words: string[], flags: SendFlags) =>
    execute(flags, (output) => send(words, flags, output)),
  );
  addHelp(command, EXAMPLES, ADDRESS_HELP);
}

async function send(words: readonly string[], flags: SendFlags, output: Output): Promise<ExitCode> {
  const { type, timeout } = flags;
  checkDelay(flags);
  const { target, name, facts } = await targetOf(flags);
  return sendInput('send', words, flags, output, {
    usage: 'millrace send -',
    open: (broker): InputSender => {
      const producer = createProducer(broker, target, { timeoutMs: timeout });
      const prepare = async (signal: AbortSignal) => {
        if (flags.exchange === undefined) await makeIfMissing(broker, name, { signal, timeoutMs: timeout });
      };
      return {
        async one(body, options) {
          await prepare(options.signal);
          const delay = { delayMs: flags.delay, at: flags.at };
          const { id } = await producer.send(body, { ...options, type, ...delay });
          return { text: `Sent ${quoted(body)}`, facts: { id, ...facts }, warning: lateWarning(flags) };
        },
        async many(bodies, options) {
          await prepare(options.signal);
          const delay = { delayMs: flags.delay, at: flags.at };
          const { stored } = await producer.sendMany(bodies, { ...options, type, ...delay });
          const text = `Sent ${count(stored, 'message')} to '${name}'`;
          return { text, facts: { sent: stored, ...facts }, warning: lateWarning(flags) };
        },
      };
    },
  });
}

function checkDelay({ delay, at, exchange }: SendFlags): void {
  if (delay !== undefined && at !== undefined) {
    throw new CommandError(EXIT.usage, '--delay and --at exclude each other; use one of them');
  }
  if (exchange !== undefined && (delay !== undefined || at !== undefined)) {
    throw new CommandError(
      EXIT.usage,
      `${at === undefined ? '--delay' : '--at'} is for messages to a queue: an exchange routes at once; use --queue`,
    );
  }
}

/** As it is with `producer.send`. */
function lateWarning({ at }: SendFlags): string | undefined {
  if (at === undefined || at.getTime() > Date.now()) return undefined;
  return `${at.toISOString()} is over: it was sent without a delay`;
}

/** The target, and its name in the output. */
async function targetOf({ queue, exchange, routingKey, contentType, schema }: SendFlags) {
  if (exchange === undefined) {
    if (routingKey !== undefined) {
      throw new CommandError(EXIT.usage, '--routing-key needs --exchange; for a queue use --queue');
    }
    const name = queue ?? 'hello';
    const check = schema === undefined ? undefined : (await importQueue(schema, name)).decode;
    return { target: sendingQueue(name, contentType, check), name, facts: { queue: name } };
  }
  if (queue !== undefined) {
    throw new CommandError(EXIT.usage, '--queue and --exchange exclude each other; use one of them');
  }
  const check = schema === undefined ? undefined : (await importQueue(schema, exchange)).decode;
  const target = sendingRoute(exchange, routingKey ?? '', contentType, check);
  return { target, name: exchange, facts: { exchange, routingKey: routingKey ?? '' } };
}
