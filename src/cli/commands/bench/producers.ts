/** The producers of `millrace bench`. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Broker } from '../../../broker.js';
import { anyOf, Deferred } from '../../../common/waiting/waiting.js';
import { isQueueError } from '../../../errors.js';
import { createProducer, type Producer } from '../../../producer/producer.js';
import type { Queue } from '../../../queue.js';
import type { BenchMeter } from './meter.js';
import type { BenchSetting } from './view.js';

/** A body contains the time at which it was sent. */
export const MIN_SIZE = 8;

export async function produceAll(
  broker: Broker,
  queue: Queue<Uint8Array>,
  setting: BenchSetting,
  meter: BenchMeter,
  signal: AbortSignal,
): Promise<void> {
  const end = performance.now() + setting.seconds * 1000;
  // The first failure ends all of them.
  const failure = new AbortController();
  const until = anyOf([signal, failure.signal]);
  const producers = Array.from({ length: setting.producers }, async () => {
    try {
      await produce(createProducer(broker, queue), setting, meter, end, until.signal);
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

/** Sends until `end`, with at most `confirmWindow` messages in flight, then waits for the last ones. */
async function produce(
  producer: Producer<Uint8Array>,
  { size, rate, confirmWindow }: BenchSetting,
  meter: BenchMeter,
  end: number,
  signal: AbortSignal,
): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  let oneSettled = new Deferred();
  const sendOne = async () => {
    const startedAt = meter.now();
    try {
      await producer.send(bodyOf(size, startedAt), { signal });
      meter.sent(startedAt);
    } catch (error) {
      if (!signal.aborted || !isQueueError(error, 'ABORTED', 'UNCONFIRMED')) failure ??= { error };
    }
  };

  let due = meter.now();
  while (meter.now() < end && !signal.aborted && failure === undefined) {
    const early = due - meter.now();
    if (early > 0) {
      // Timers have whole milliseconds. `due` is not rounded, so rounding errors do not add up.
      const pauseMs = Math.ceil(Math.min(early, end - meter.now()));
      await delay(pauseMs, undefined, { signal }).catch(() => {});
      continue;
    }
    if (rate !== undefined) due += 1000 / rate;
    const sending = sendOne();
    inFlight.add(sending);
    sending.then(() => {
      inFlight.delete(sending);
      oneSettled.resolve();
    });
    if (inFlight.size < confirmWindow) continue;
    oneSettled = new Deferred();
    await oneSettled.promise;
  }
  await Promise.all(inFlight);
  if (failure !== undefined) throw failure.error;
}

function bodyOf(size: number, startedAt: number): Uint8Array {
  const body = Buffer.alloc(size);
  body.writeDoubleLE(startedAt);
  return body;
}

export function sentAt(body: Uint8Array): number {
  return new DataView(body.buffer, body.byteOffset, body.byteLength).getFloat64(0, true);
}
