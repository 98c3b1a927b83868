import { z } from 'zod';
import { connect, createConsumer, createProducer, defineQueue } from '../millrace.mjs';
import { orderOf, orderSchema } from '../order.mjs';
import { Arrivals, gate, shares } from './check.mjs';

/**
 * The typed API with its defaults, but for the concurrency where a case says so.
 *
 * @template {{ id: number } | string} T
 * @param {import('@standard-schema/spec').StandardSchemaV1<T>} schema
 * @param {number} count
 * @param {{ concurrency?: number, capacity?: number, onFirst?: Promise<void> }} [options] `onFirst` holds the first
 *   message up.
 */
async function open(schema, count, { concurrency = 1, capacity, onFirst } = {}) {
  const arrivals = new Arrivals();
  const { open: finish, opened: all } = gate();
  const broker = await connect('local:');
  const queue = defineQueue('orders', schema, { capacity });
  let first = onFirst;
  const handler = async (/** @type {T} */ value) => {
    if (first !== undefined) {
      const wait = first;
      first = undefined;
      await wait;
    }
    arrivals.add(typeof value === 'string' ? Number(value) : value.id);
    if (arrivals.count === count) finish();
  };
  const consumer = createConsumer(broker, queue, handler, { concurrency });
  await consumer.start();
  const close = async () => {
    await all;
    arrivals.check(count);
    await consumer.stop();
    await broker.close();
  };
  return { producer: createProducer(broker, queue), close };
}

export async function sendEach({ count }) {
  const { producer, close } = await open(orderSchema, count);
  for (let i = 0; i < count; i++) await producer.send(orderOf(i));
  await close();
}

/** Texts of seven digits: what the way itself costs, with next to nothing to encode. */
export async function sendEachText({ count }) {
  const { producer, close } = await open(z.string(), count);
  for (let i = 0; i < count; i++) await producer.send(String(i).padStart(7, '0'));
  await close();
}

export async function sendMany({ count }) {
  const { producer, close } = await open(orderSchema, count);
  await producer.sendMany(fromZero(count));
  await close();
}

export async function fan({ count, tasks }) {
  const { producer, close } = await open(orderSchema, count, { concurrency: tasks });
  await Promise.all(
    shares(count, tasks).map(async ([from, to]) => {
      for (let i = from; i < to; i++) await producer.send(orderOf(i));
    }),
  );
  await close();
}

/** `depth` messages wait before the first one is handled, until `count` have gone through. */
export async function backlog({ count, depth }) {
  for (let filled = 0; filled < count; filled += depth) {
    const { open: letGo, opened } = gate();
    const { producer, close } = await open(orderSchema, depth, {
      capacity: Number.POSITIVE_INFINITY,
      onFirst: opened,
    });
    await producer.sendMany(fromZero(depth));
    letGo();
    await close();
  }
}

function* fromZero(count) {
  for (let i = 0; i < count; i++) yield orderOf(i);
}
