/** Measures a broker: producers and consumers in one process, a line an interval, a summary. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Broker } from '../../../broker.js';
import { anyOf, Deferred } from '../../../common/limits.js';
import type { Consumer } from '../../../consumer/consumer.js';
import { createConsumer } from '../../../consumer/create-consumer.js';
import { isQueueError } from '../../../errors.js';
import { createProducer, type Producer } from '../../../producer/producer.js';
import { defineQueue, type Queue } from '../../../queue.js';
import type { AddressFlags } from '../../address.js';
import type { ExitCode } from '../../exit-code.js';
import type { Output, OutputFlags } from '../../output.js';
import { tryOut } from '../../try-out.js';
import { unchecked } from '../../unchecked-schema.js';
import { BenchMeter } from './meter.js';
import { type BenchSetting, benchIntroduction, benchLine, benchSummary } from './view.js';

export interface BenchFlags extends AddressFlags, OutputFlags, BenchSetting {
  readonly type: 'quorum' | 'classic';
  readonly interval: number;
  readonly connectTimeout: number;
}

/** How long the consumers may still take for what is in the queue when the producers have ended. */
const DRAIN_LIMIT_MS = 30_000;

/** A body carries the time at which it was sent. */
export const MIN_SIZE = 8;

export function bench(flags: BenchFlags, output: Output): Promise<ExitCode> {
  return tryOut(flags, output, (broker, signal) => measure(broker, flags, output, signal));
}

async function measure(
  broker: Broker,
  flags: BenchFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const queue = benchQueue(flags.type);
  if (!output.json && !output.quiet) await output.write(benchIntroduction(flags, broker.address));
  await broker.declare(queue.spec, { signal });
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
  await output.write(
    output.json ? `${JSON.stringify({ type: 'summary', ...totals })}\n` : benchSummary(totals),
  );
}

/** The broker removes it a minute after the run, because quorum queues can't go with their connection. */
function benchQueue(type: 'quorum' | 'classic'): Queue<Uint8Array> {
  return defineQueue(`millrace-bench-${randomUUID().slice(0, 8)}`, unchecked<Uint8Array>(), {
    codec: 'bytes',
    type,
    deadLetter: false,
    arguments: { 'x-expires': 60_000 },
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

async function produceAll(
  broker: Broker,
  queue: Queue<Uint8Array>,
  flags: BenchFlags,
  meter: BenchMeter,
  signal: AbortSignal,
): Promise<void> {
  const end = performance.now() + flags.seconds * 1000;
  // The first that fails ends the others, too.
  const failure = new AbortController();
  const until = anyOf([signal, failure.signal]);
  const producers = Array.from({ length: flags.producers }, async () => {
    try {
      await produce(createProducer(broker, queue), flags, meter, end, until.signal);
    } catch (error) {
      failure.abort();
      throw error;
    }
  });
  const outcomes = await Promise.allSettled(producers);
  until.release();
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Sends until the end, with at most `confirmWindow` messages under way, and waits for those at last. */
async function produce(
  producer: Producer<Uint8Array>,
  { size, rate, confirmWindow }: BenchSetting,
  meter: BenchMeter,
  end: number,
  signal: AbortSignal,
): Promise<void> {
  const underWay = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  let oneSettled = new Deferred();
  const sendOne = async () => {
    const begunAt = meter.now();
    try {
      await producer.send(bodyOf(size, begunAt), { signal });
      meter.sent(begunAt);
    } catch (error) {
      if (!signal.aborted || !isQueueError(error, 'ABORTED', 'UNCONFIRMED')) failure ??= { error };
    }
  };

  let due = meter.now();
  while (meter.now() < end && !signal.aborted && failure === undefined) {
    const early = due - meter.now();
    if (early > 0) {
      // Timers count whole milliseconds; what is rounded up is made up for by the next one.
      const pauseMs = Math.ceil(Math.min(early, end - meter.now()));
      await delay(pauseMs, undefined, { signal }).catch(() => {});
      continue;
    }
    if (rate !== undefined) due += 1000 / rate;
    const sending = sendOne();
    underWay.add(sending);
    sending.then(() => {
      underWay.delete(sending);
      oneSettled.resolve();
    });
    if (underWay.size < confirmWindow) continue;
    oneSettled = new Deferred();
    await oneSettled.promise;
  }
  await Promise.all(underWay);
  if (failure !== undefined) throw failure.error;
}

function bodyOf(size: number, begunAt: number): Uint8Array {
  const body = Buffer.alloc(size);
  body.writeDoubleLE(begunAt);
  return body;
}

function sentAt(body: Uint8Array): number {
  return new DataView(body.buffer, body.byteOffset, body.byteLength).getFloat64(0, true);
}

function showEach(intervalMs: number, meter: BenchMeter, output: Output): NodeJS.Timeout {
  return setInterval(() => {
    const sample = meter.sample();
    if (output.json) output.data(JSON.stringify({ type: 'interval', ...sample }));
    else if (!output.quiet) output.data(benchLine(sample));
  }, intervalMs);
}
