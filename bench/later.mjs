/**
 * What it costs to send a message for later, beside a plain send, and to handle messages in batches, beside one by one.
 * In memory; with a `place`, in a folder; with a `url`, on RabbitMQ.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  backendOf,
  connect,
  createBatchConsumer,
  createConsumer,
  createProducer,
  defineQueue,
} from './millrace.mjs';
import { orderSchema, orders } from './order.mjs';
import { stopwatch } from './stopwatch.mjs';

export const staysOpen = true;

const SIZE = 100;

/** @param {{ place?: string, url?: string }} at */
async function open({ place, url }) {
  const folder = place === undefined ? '' : join(place, randomUUID());
  const broker = await connect(url ?? `local:${folder}`);
  const queue = defineQueue(`bench-${randomUUID()}`, orderSchema, {
    capacity: Number.POSITIVE_INFINITY,
    deadLetter: false,
  });
  await backendOf(broker).declare(queue.spec);
  const close = async () => {
    await broker.remove(queue.name);
    await broker.close();
  };
  return { broker, queue, producer: createProducer(broker, queue), close };
}

/** `delayMs: 0`: plain sends. The queue is emptied outside of what is timed. */
export async function sends({ delayMs, count, warmUpCount, ...at }) {
  const { broker, queue, producer, close } = await open(at);
  const send = async (wanted) => {
    const stopWatch = stopwatch(wanted);
    await producer.sendMany(orders(wanted, SIZE), delayMs === 0 ? {} : { delayMs });
    const figures = stopWatch();
    // On RabbitMQ delayed messages can only be removed when they are due.
    if (at.url !== undefined) await purged(broker, queue, wanted);
    else await emptied(broker, queue);
    return figures;
  };
  await send(warmUpCount);
  return {
    async turn() {
      await send(Math.ceil(count / 2));
      return send(count);
    },
    close,
  };
}

async function emptied(broker, { name, spec }) {
  await broker.remove(name);
  await backendOf(broker).declare(spec);
}

async function purged(broker, { name }, count) {
  let removed = await broker.purge(name);
  while (removed < count) {
    await delay(100);
    removed += await broker.purge(name);
  }
}

/** `size: 1`: a handler for each message, as many at once as a batch has. */
export async function handles({ size, count, warmUpCount, ...at }) {
  const { broker, queue, producer, close } = await open(at);
  const handle = async (wanted) => {
    await producer.sendMany(orders(wanted, SIZE));
    let handled = 0;
    /** @type {() => void} */
    let end = () => {};
    const all = new Promise((resolve) => {
      end = () => resolve(undefined);
    });
    const done = (more) => {
      handled += more;
      if (handled >= wanted) end();
    };
    const consumer =
      size === 1
        ? createConsumer(broker, queue, () => done(1), { concurrency: 100, prefetch: 200 })
        : createBatchConsumer(broker, queue, (batch) => done(batch.length), { size, waitMs: 20 });
    const stopWatch = stopwatch(wanted);
    await consumer.start();
    await all;
    // Until all are acknowledged.
    await consumer.stop();
    return stopWatch();
  };
  await handle(warmUpCount);
  return {
    async turn() {
      await handle(Math.ceil(count / 2));
      return handle(count);
    },
    close,
  };
}
