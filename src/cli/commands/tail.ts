/** `millrace tail` */
import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
import type { BrokerEvent } from '../../broker.js';
import { brokerEventLine, type EventLine } from '../../common/reporting/event-line.js';
import { Deferred, onAbort } from '../../common/waiting/waiting.js';
import { createConsumer } from '../../consumer/create-consumer.js';
import { defineExchange, type Exchange } from '../../exchange.js';
import type { Queue } from '../../queue.js';
import { chooseAddress } from '../address.js';
import { ADDRESS_HELP, addHelp, type CommonFlags, type Execute } from '../common-options.js';
import { type CommandError, EXIT, type ExitCode } from '../exit-code.js';
import { messageRecord } from '../message-record.js';
import { openBroker, refuseMemory } from '../open-broker.js';
import { nameValue, oneOrMore, shortTextValue } from '../option-values.js';
import { type Output, showBody } from '../output.js';
import { abortOnStopSignal } from '../stop-signal.js';
import { bytesQueue } from '../text-queue.js';

interface TailFlags extends CommonFlags {
  readonly count?: number;
}

const EXAMPLES = `
Examples:
  $ millrace tail shop                        print all events of a topic
  $ millrace tail shop 'order.*' '#.failed'   print some of them
  $ millrace tail shop --json | jq .body      print their bodies`;

const NOTES = `
Patterns are words between dots: * stands for one word, # for any number of words. Quote them, or the shell may replace them by file names. On a direct exchange, name the routing keys.

Events published before it starts, or while the connection is lost, are missed. On RabbitMQ, so are the oldest ones when more than 100,000 wait to be printed.

Exit codes: 0 after --count events; 130 after Ctrl+C.`;

export function addTailCommand(program: Command, execute: Execute): void {
  const command = program
    .command('tail')
    .description(
      'Prints the events of a topic as they are published, without taking them from any subscription.',
    )
    .argument('<topic>', 'the topic, or another exchange; declared as a topic exchange if missing', nameValue)
    .argument(
      '[pattern...]',
      'the events to print (default: all)',
      (text: string, before?: readonly string[]) => [...(before ?? []), shortTextValue(text)],
    )
    .option('--count <n>', 'print this many events, then exit', oneOrMore)
    .action((topic: string, patterns: readonly string[] | undefined, flags: TailFlags) =>
      execute(flags, (output) => tail(topic, patterns ?? [], flags, output)),
    );
  addHelp(command, EXAMPLES, NOTES, ADDRESS_HELP);
}

async function tail(
  topic: string,
  patterns: readonly string[],
  flags: TailFlags,
  output: Output,
): Promise<ExitCode> {
  const chosen = chooseAddress(flags);
  refuseMemory(chosen, 'tail');
  const queue = tailQueue(chosen.address, topic, patterns.length === 0 ? ['#'] : patterns);
  const observe = (event: BrokerEvent) => {
    if (event.type !== 'connected') output.event(brokerEventLine(event));
    if (event.type === 'resubscribed') output.event(GAP);
  };
  const broker = await openBroker(chosen, output, { connectTimeout: flags.connectTimeout, observe });
  const interruption = abortOnStopSignal();
  try {
    const done = new Deferred();
    let printed = 0;
    const consumer = createConsumer(
      broker,
      queue,
      async (body, context) => {
        if (printed === flags.count) return;
        printed++;
        await (output.json
          ? output.record(messageRecord(body, context))
          : output.data(` [x] ${context.routingKey} '${showBody(body)}'`));
        if (printed === flags.count) done.resolve();
      },
      { prefetch: 100, retry: { delaysMs: [] } },
    );
    await consumer.start({ signal: interruption.signal });
    output.event(startedLine(topic, patterns, broker.url));
    onAbort(interruption.signal, done.resolve);
    await Promise.race([done.promise, output.closed, consumer.ended]);
    await consumer.stop({ deadlineMs: 0 });
    const { aborted, reason } = interruption.signal;
    return aborted ? (reason as CommandError).exitCode : EXIT.ok;
  } catch (error) {
    throw interruption.signal.aborted ? interruption.signal.reason : error;
  } finally {
    interruption.dispose();
    await broker.close();
  }
}

/** A suspended `tail` must not fill the broker: RabbitMQ then drops the oldest events of its queue. */
const MAX_WAITING = 100_000;

/** A queue of this process alone, which the broker deletes when it ends. */
function tailQueue(address: string, topic: string, patterns: readonly string[]): Queue<Uint8Array> {
  const exchange = topicExchange(topic);
  return bytesQueue(`millrace-tail-${randomUUID().slice(0, 8)}`, {
    declare: 'match',
    type: 'classic',
    durable: false,
    exclusive: true,
    autoDelete: true,
    deadLetter: false,
    capacity: Number.POSITIVE_INFINITY,
    ...(/^\s*amqps?:/i.test(address) && { arguments: { 'x-max-length': MAX_WAITING } }),
    bindings: patterns.map((routingKey) => ({ exchange, routingKey })),
  });
}

/** The broker's own exchanges, `amq.…`, can't be declared. */
function topicExchange(name: string): Exchange {
  return defineExchange(name, { declare: name.startsWith('amq.') ? 'existing' : 'if-missing' });
}

const GAP: EventLine = {
  event: 'gap',
  level: 'warn',
  text: 'events published in the meantime were missed',
  fields: {},
};

function startedLine(topic: string, patterns: readonly string[], broker: string): EventLine {
  const which = patterns.length === 0 ? '' : ` (${patterns.join(', ')})`;
  const text = `Waiting for events of '${topic}'${which}. To exit press CTRL+C`;
  return { event: 'started', level: 'info', text, fields: { topic, patterns, broker } };
}
