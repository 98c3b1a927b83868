/**
 * A fast producer and a consumer that takes a millisecond for each item of a thousand bytes, for a while. The
 * producer waits where the library can make it wait, with at most 1024 items; where it can't, it goes on.
 */

import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { watchMemory } from '../memory-watch.mjs';

export const timesItself = true;

const item = () => Buffer.alloc(1000, 1);

/** Lets the event loop turn now and then, as a producer does whose items come from outside. */
async function produceWith(offer, done, count) {
  while (!done()) {
    for (let i = 0; i < 100; i++) {
      const waiting = offer(item());
      count.produced++;
      if (waiting !== undefined) await waiting;
      if (done()) return;
    }
    await turn();
  }
}

/** The value belongs to what waits, though nothing is done with it. */
const handle = async (count, _value) => {
  await delay(1);
  count.consumed++;
};

export async function localQueue({ seconds }) {
  const { LocalQueue } = await import('../millrace.mjs');
  const queue = new LocalQueue({ capacity: 1024 });
  return watchMemory(seconds, {
    produce: (done, count) => produceWith((value) => queue.put(value), done, count),
    async consume(done, count) {
      while (!done()) {
        await queue.take();
        await handle(count);
      }
    },
  });
}

export async function typed({ seconds }) {
  const { connect, createConsumer, createProducer, defineQueue } = await import('../millrace.mjs');
  const { z } = await import('zod');
  const broker = await connect('local:');
  const queue = defineQueue('orders', z.instanceof(Uint8Array), { codec: 'bytes' });
  const producer = createProducer(broker, queue, { timeoutMs: Number.POSITIVE_INFINITY });
  return watchMemory(seconds, {
    produce: (done, count) => produceWith((value) => producer.send(value), done, count),
    async consume(_done, count) {
      await createConsumer(broker, queue, () => handle(count)).start();
    },
  });
}

export async function nodeStream({ seconds }) {
  const stream = new PassThrough({ objectMode: true, highWaterMark: 1024 });
  return watchMemory(seconds, {
    produce: (done, count) =>
      produceWith((value) => (stream.write(value) ? undefined : once(stream, 'drain')), done, count),
    async consume(_done, count) {
      for await (const _value of stream) {
        await handle(count);
      }
    },
  });
}

export async function pQueue({ seconds }) {
  const { default: PQueue } = await import('p-queue');
  const queue = new PQueue({ concurrency: 1 });
  return watchMemory(seconds, {
    produce: (done, count) =>
      produceWith(
        (value) => {
          queue.add(() => handle(count, value));
          return queue.size >= 1024 ? queue.onSizeLessThan(1024) : undefined;
        },
        done,
        count,
      ),
    consume: async () => {},
  });
}

export async function fastq({ seconds }) {
  const { default: makeQueue } = await import('fastq');
  let tally;
  const queue = makeQueue.promise(() => handle(tally), 1);
  return watchMemory(seconds, {
    produce(done, count) {
      tally = count;
      return produceWith((value) => void queue.push(value), done, count);
    },
    consume: async () => {},
  });
}

export async function asyncQueue({ seconds }) {
  const { queue: makeQueue } = await import('async');
  let tally;
  const queue = makeQueue(() => handle(tally), 1);
  return watchMemory(seconds, {
    produce(done, count) {
      tally = count;
      return produceWith((value) => void queue.push(value), done, count);
    },
    consume: async () => {},
  });
}

export async function henrygdQueue({ seconds }) {
  const { newQueue } = await import('@henrygd/queue');
  const queue = newQueue(1);
  return watchMemory(seconds, {
    produce: (done, count) => produceWith((value) => void queue.add(() => handle(count, value)), done, count),
    consume: async () => {},
  });
}
