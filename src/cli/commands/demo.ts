/** `millrace demo`: shows a fast producer and a slow consumer with a bounded queue between them. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Broker } from '../../broker.js';
import { Deferred, onAbort } from '../../common/waiting/waiting.js';
import { createConsumer } from '../../consumer/create-consumer.js';
import { isQueueError } from '../../errors.js';
import { createProducer, type Producer } from '../../producer/producer.js';
import { defineQueue, type Queue } from '../../queue.js';
import { addHelp, type CommonFlags, type Execute, TRIAL_ADDRESS_HELP } from '../common-options.js';
import type { ExitCode } from '../exit-code.js';
import { wrap } from '../layout.js';
import { withTrialBroker } from '../open-broker.js';
import { durationOption, oneOrMore } from '../option-values.js';
import type { Output } from '../output.js';
import { unchecked } from '../text-queue.js';
import { showHello } from './demo/hello.js';
import { DemoMeter } from './demo/meter.js';
import { introduction, progressLine, summary } from './demo/view.js';

interface DemoFlags extends CommonFlags {
  readonly seconds: number;
  readonly messages?: number;
  readonly capacity: number;
  readonly handle: number;
}

interface DemoMessage {
  readonly number: number;
  readonly text: string;
}

export function addDemoCommand(program: Command, execute: Execute): void {
  const command = program
    .command('demo')
    .description('Shows a fast producer, a bounded queue and a slow consumer at work.')
    .option('--seconds <n>', 'how long the producer sends', oneOrMore, 10)
    .option('--messages <n>', 'the maximum number of messages', oneOrMore)
    .option('--capacity <n>', 'how many messages the queue can hold', oneOrMore, 100)
    .addOption(durationOption('--handle <duration>', 'how long the consumer takes per message', '10ms'))
    .action((flags: DemoFlags) => execute(flags, (output) => demo(flags, output)));
  addHelp(command, TRIAL_ADDRESS_HELP);
}

function demo(flags: DemoFlags, output: Output): Promise<ExitCode> {
  return withTrialBroker(flags, output, async (broker, signal) => {
    await watch(broker, flags, output, signal);
    if (broker.url === 'local:' && !output.json && !output.quiet && !signal.aborted) {
      await showHello(output, signal);
    }
  });
}

async function watch(broker: Broker, flags: DemoFlags, output: Output, signal: AbortSignal): Promise<void> {
  const queue = demoQueue(broker, flags.capacity);
  const meter = new DemoMeter();
  const drained = new Deferred();
  const consumer = createConsumer(
    broker,
    queue,
    async () => {
      await delay(flags.handle);
      meter.handled++;
      if (meter.isDone) drained.resolve();
    },
    { retry: { delaysMs: [] } },
  );
  if (!output.json && !output.quiet)
    await output.block(wrap(introduction(flags, broker.url), output.columns));
  await consumer.start({ signal });
  const screen = show(meter, flags, output);
  try {
    await produce(createProducer(broker, queue), meter, flags, signal);
    meter.producerEnds();
    if (!meter.isDone) await Promise.race([drained.promise, consumer.ended, aborted(signal)]);
    await consumer.stop({ deadlineMs: flags.handle + 1000 });
  } finally {
    await screen.end();
  }
  if (output.json) await output.record({ type: 'summary', ...meter.totals() });
  else await output.block(wrap(summary(meter.totals(), flags), output.columns));
}

/** In memory the queue is private to this run; elsewhere it has a unique name and is deleted with its consumer. */
function demoQueue(broker: Broker, capacity: number): Queue<DemoMessage> {
  const schema = unchecked<DemoMessage>();
  if (broker.url === 'local:') return defineQueue('demo', schema, { capacity, deadLetter: false });
  const name = `millrace-demo-${randomUUID().slice(0, 8)}`;
  return defineQueue(name, schema, {
    capacity,
    deadLetter: false,
    type: 'classic',
    exclusive: true,
    autoDelete: true,
  });
}

async function produce(
  producer: Producer<DemoMessage>,
  meter: DemoMeter,
  { seconds, messages = Number.POSITIVE_INFINITY }: DemoFlags,
  signal: AbortSignal,
): Promise<void> {
  const end = performance.now() + seconds * 1000;
  try {
    for (let number = 1; number <= messages && performance.now() < end; number++) {
      meter.sendBegins();
      await producer.send({ number, text: 'Hello World!' }, { signal });
      meter.sendEnds();
    }
  } catch (error) {
    if (!signal.aborted || !isQueueError(error, 'ABORTED', 'UNCONFIRMED')) throw error;
  }
}

/** Redraws a line ten times a second on a terminal; elsewhere writes a line per second. */
function show(meter: DemoMeter, flags: DemoFlags, output: Output): { readonly end: () => Promise<void> } {
  const draw = () => {
    if (output.quiet) return;
    const sample = meter.sample();
    if (output.json) void output.record({ type: 'progress', ...sample });
    else if (output.live) output.draw(progressLine(sample, flags.capacity, output.columns));
    else void output.data(progressLine(sample, flags.capacity));
  };
  const memory = setInterval(() => meter.measureMemory(), 100);
  const drawing = setInterval(draw, output.live ? 100 : 1000);
  return {
    end: async () => {
      clearInterval(memory);
      clearInterval(drawing);
      if (output.live && !output.quiet) {
        draw();
        await output.block('');
      }
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  const deferred = new Deferred();
  if (signal.aborted) deferred.resolve();
  else onAbort(signal, deferred.resolve);
  return deferred.promise;
}
