/** `millrace send` */
import type { Command } from 'commander';
import { createProducer } from '../../producer/producer.js';
import { ADDRESS_HELP, addHelp, type Execute } from '../common-options.js';
import { CommandError, EXIT, type ExitCode } from '../exit-code.js';
import { quoted } from '../message-input.js';
import { nameValue, shortTextValue } from '../option-values.js';
import type { Output } from '../output.js';
import { addMessageOptions, type InputSender, type SendInputFlags, sendInput } from '../send-input.js';
import { sendingQueue, sendingRoute } from '../text-queue.js';

interface SendFlags extends SendInputFlags {
  readonly queue?: string;
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly type?: string;
}

const EXAMPLES = `
Examples:
  $ millrace send 'Hello World!'
  $ millrace send -q orders '{"id":"A-1","total":12.5}'
  $ millrace send -q images -f cat.png -H tenant:blue -u amqp://localhost
  $ tail -f access.log | millrace send -l -q hits
  $ millrace send 'out of grain' -e logs_direct -k error -u amqp://localhost`;

export function addSendCommand(program: Command, execute: Execute): void {
  const command = program
    .command('send')
    .description('Sends a message, or with --lines one per line of input, and exits when they are stored.')
    .argument('[message...]', "the message; '-', or no words and piped input, reads standard input")
    .option(
      '-q, --queue <name>',
      'the queue; declared as in the RabbitMQ tutorials if missing (default: "hello")',
    )
    .option('-e, --exchange <name>', 'send to this exchange, which must exist, instead of a queue', nameValue)
    .option('-k, --routing-key <key>', 'the routing key at the exchange (default: none)', shortTextValue)
    .option('--type <type>', 'what kind of message it is, for receivers that handle several', shortTextValue);
  addMessageOptions(command).action((words: string[], flags: SendFlags) =>
    execute(flags, (output) => send(words, flags, output)),
  );
  addHelp(command, EXAMPLES, ADDRESS_HELP);
}

function send(words: readonly string[], flags: SendFlags, output: Output): Promise<ExitCode> {
  const { type, timeout } = flags;
  const { target, name, facts } = targetOf(flags);
  return sendInput('send', words, flags, output, {
    usage: 'millrace send -',
    open: (broker): InputSender => {
      const producer = createProducer(broker, target, { timeoutMs: timeout });
      return {
        async one(body, options) {
          const { id } = await producer.send(body, { ...options, type });
          return { text: `Sent ${quoted(body)}`, facts: { id, ...facts } };
        },
        async many(bodies, options) {
          const { stored } = await producer.sendMany(bodies, { ...options, type });
          const text = `Sent ${stored} ${stored === 1 ? 'message' : 'messages'} to '${name}'`;
          return { text, facts: { sent: stored, ...facts } };
        },
      };
    },
  });
}

/** What to send to, and how the output names it. */
function targetOf({ queue, exchange, routingKey, contentType }: SendFlags) {
  if (exchange === undefined) {
    if (routingKey !== undefined) {
      throw new CommandError(EXIT.usage, '--routing-key needs --exchange; for a queue use --queue');
    }
    const name = queue ?? 'hello';
    return { target: sendingQueue(name, contentType), name, facts: { queue: name } };
  }
  if (queue !== undefined) {
    throw new CommandError(EXIT.usage, '--queue and --exchange exclude each other; use one of them');
  }
  const target = sendingRoute(exchange, routingKey ?? '', contentType);
  return { target, name: exchange, facts: { exchange, routingKey: routingKey ?? '' } };
}
