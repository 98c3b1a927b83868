/** `millrace bench`: runs producers and consumers in one process; prints a line per interval and a summary. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { Broker } from '../../broker.js';
import { backendOf } from '../../common/backend-of.js';
import type { Consumer } from '../../consumer/consumer.js';
import { createConsumer } from '../../consumer/create-consumer.js';
import { defineQueue, type Queue } from '../../queue.js';
import { addHelp, type CommonFlags, type Execute, TRIAL_ADDRESS_HELP } from '../common-options.js';
import type { ExitCode } from '../exit-code.js';
import { wrap } from '../layout.js';
import { withTrialBroker } from '../open-broker.js';
import { durationOption, integerValue, oneOrMore, positiveDurationValue } from '../option-values.js';
import type { Output } from '../output.js';
import { unchecked } from '../text-queue.js';
import { BenchMeter } from './bench/meter.js';
import { MIN_SIZE, produceAll, sentAt } from './bench/producers.js';
import { type BenchSetting, benchIntroduction, benchLine, benchSummary } from './bench/view.js';

interface BenchFlags extends CommonFlags, BenchSetting {
  readonly type: 'quorum' | 'classic';
  readonly interval: number;
}

/** The short flags are those of RabbitMQ's PerfTest. */
export function addBenchCommand(program: Command, execute: Execute): void {
  const command = program
    .command('bench')
    .description('Measures the throughput and the latency of a broker.')
    .option('-x, --producers <n>', 'the number of producers', oneOrMore, 1)
    .option('-y, --consumers <n>', 'the number of consumers', oneOrMore, 1)
    .option('-s, --size <bytes>', 'the size of a message', integerValue(MIN_SIZE), 100)
    .option('-z, --seconds <n>', 'how long the producers send', oneOrMore, 10)
    .option('-r, --rate <n>', 'messages per second of each producer (default: no limit)', oneOrMore)
    .option(
      '--confirm-window <n>',
      'how many unconfirmed messages each producer may have; at most 1000 in all',
      integerValue(1, 1000),
      1000,
    )
    .option(
      '-p, --prefetch <n>',
      'how many unacknowledged messages each consumer may hold',
      integerValue(1, 65_535),
      256,
    )
    .addOption(
      new Option('--type <type>', 'the queue type on RabbitMQ')
        .choices(['quorum', 'classic'])
        .default('quorum'),
    )
    .addOption(
      durationOption('--interval <duration>', 'how often to print the rates', '1s', positiveDurationValue),
    )
    .action((flags: BenchFlags) => execute(flags, (output) => bench(flags, output)));
  addHelp(
    command,
    '\nThe queue is created for the run; RabbitMQ deletes it a minute later.',
    TRIAL_ADDRESS_HELP,
  );
}

/** How long the consumers may take for the rest of the queue after the producers have ended. */
const DRAIN_LIMIT_MS = 30_000;

function bench(flags: BenchFlags, output: Output): Promise<ExitCode> {
  return withTrialBroker(flags, output, (broker, signal) => measure(broker, flags, output, signal));
}

async function measure(
  broker: Broker,
  flags: BenchFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const queue = benchQueue(flags.type, broker);
  if (!output.json && !output.quiet)
    await output.block(wrap(benchIntroduction(flags, broker.url), output.columns));
  await backendOf(broker).declare(queue.spec, { signal });
  const meter = new BenchMeter();
  const consumers = Array.from({ length: flags.consumers }, () => benchConsumer(broker, queue, flags, meter));
  await Promise.all(consumers.map((consumer) => consumer.start({ signal })));
  const lines = showEach(flags.interval, meter, output);
  try {
    await produceAll(broker, queue, flags, meter, signal);
    const limit = performance.now() + DRAIN_LIMIT_MS;
    while (!meter.isDrained && !signal.aborted && performance.now() < limit) await delay(10);
  } finally {
    clearInterval(lines);
  }
  const totals = meter.totals();
  await Promise.all(consumers.map((consumer) => consumer.stop({ deadlineMs: 1000 })));
  if (output.json) await output.record({ type: 'summary', ...totals });
  else await output.block(wrap(benchSummary(totals), output.columns));
}

/** The broker deletes the queue a minute after the run, since a quorum queue can't be exclusive to its connection. */
function benchQueue(type: 'quorum' | 'classic', { url }: Broker): Queue<Uint8Array> {
  return defineQueue(`millrace-bench-${randomUUID().slice(0, 8)}`, unchecked<Uint8Array>(), {
    codec: 'bytes',
    type,
    deadLetter: false,
    ...(/^amqps?:/i.test(url) && { arguments: { 'x-expires': 60_000 } }),
  });
}

function benchConsumer(
  broker: Broker,
  queue: Queue<Uint8Array>,
  { prefetch }: BenchFlags,
  meter: BenchMeter,
): Consumer {
  const handler = (body: Uint8Array) => meter.received(sentAt(body));
  return createConsumer(broker, queue, handler, { prefetch, retry: { delaysMs: [] } });
}

function showEach(intervalMs: number, meter: BenchMeter, output: Output): NodeJS.Timeout {
  return setInterval(() => {
    const sample = meter.sample();
    if (output.json) void output.record({ type: 'interval', ...sample });
    else if (!output.quiet) void output.data(benchLine(sample, output.columns));
  }, intervalMs);
}
