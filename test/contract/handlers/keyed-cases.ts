import fc from 'fast-check';
import { expect } from 'vitest';
import { z } from 'zod';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import type { ContractContext } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const job = z.object({ n: z.number(), keys: z.array(z.string()) });
type Job = z.infer<typeof job>;

/** A started consumer by key whose handlers run until they are let go one by one. */
async function heldByKey(t: ContractContext, jobs: readonly Job[], concurrency: number) {
  const queue = t.define(job);
  await createProducer(t.broker, queue).sendMany(jobs);
  const log = new EventLog();
  const begun: number[] = [];
  const letGo = new Map<number, () => void>();
  const consumer = createConsumer(
    t.broker,
    queue,
    ({ n }) => {
      begun.push(n);
      return new Promise<void>((resolve) => letGo.set(n, resolve));
    },
    { concurrency, key: ({ keys }) => keys, observe: log.observe },
  );
  await consumer.start();
  return { queue, log, begun, letGo: (n: number) => letGo.get(n)?.(), consumer };
}

export const keyedCases: Cases = {
  'messages of one key are handled one at a time and in order, while those of other keys proceed': async (
    t,
  ) => {
    const jobs = [
      { n: 0, keys: ['a'] },
      { n: 1, keys: ['a'] },
      { n: 2, keys: ['b'] },
      { n: 3, keys: ['a'] },
      { n: 4, keys: ['c'] },
    ];
    const { log, begun, letGo } = await heldByKey(t, jobs, 3);
    await eventually(() => begun.length === 3);
    expect(begun).toEqual([0, 2, 4]);
    letGo(2);
    letGo(4);
    await log.until('handled', 2);
    expect(begun).toEqual([0, 2, 4]);
    letGo(0);
    await eventually(() => begun.length === 4);
    expect(begun).toEqual([0, 2, 4, 1]);
    letGo(1);
    await eventually(() => begun.length === 5);
    letGo(3);
    await log.until('handled', 5);
    expect(begun).toEqual([0, 2, 4, 1, 3]);
  },

  'a message with several keys holds them all, and waits for them all': async (t) => {
    const jobs = [
      { n: 0, keys: ['a'] },
      { n: 1, keys: ['a', 'b'] },
      { n: 2, keys: ['b'] },
      { n: 3, keys: [] },
    ];
    const { log, begun, letGo } = await heldByKey(t, jobs, 4);
    await eventually(() => begun.length === 2);
    expect(begun).toEqual([0, 3]);
    letGo(0);
    await eventually(() => begun.length === 3);
    expect(begun).toEqual([0, 3, 1]);
    letGo(3);
    letGo(1);
    await eventually(() => begun.length === 4);
    letGo(2);
    await log.until('handled', 4);
  },

  'whatever pairs of keys messages have, all finish, each key in order and never twice at once': async (
    t,
  ) => {
    const keys = ['a', 'b', 'c', 'd', 'e'];
    const pair = fc.shuffledSubarray(keys, { minLength: 1, maxLength: 2 });
    const pairs = fc.array(pair, { minLength: 1, maxLength: 40 });
    const property = fc.asyncProperty(pairs, async (wanted) => {
      const queue = t.define(job);
      const jobs = wanted.map((some, n) => ({ n, keys: some }));
      const log = new EventLog();
      const held = new Set<string>();
      const seen = new Map<string, number[]>();
      const faults: string[] = [];
      const consumer = createConsumer(
        t.broker,
        queue,
        async ({ n, keys: own }) => {
          for (const key of own) {
            if (held.has(key)) faults.push(`${n} found ${key} in use`);
            held.add(key);
            seen.set(key, [...(seen.get(key) ?? []), n]);
          }
          await new Promise(setImmediate);
          for (const key of own) held.delete(key);
        },
        { concurrency: 4, key: ({ keys: own }) => own, observe: log.observe },
      );
      await consumer.start();
      await createProducer(t.broker, queue).sendMany(jobs);
      await log.until('handled', jobs.length);
      await consumer.stop();
      expect(faults).toEqual([]);
      for (const order of seen.values()) expect(order).toEqual(order.toSorted((x, y) => x - y));
    });
    await fc.assert(property, { numRuns: t.subject.propertyRuns / 10 });
  },

  'other messages of its key are handled while a failed one waits for its next attempt': async (t) => {
    const queue = t.define(job);
    await createProducer(t.broker, queue).sendMany([
      { n: 0, keys: ['a'] },
      { n: 1, keys: ['a'] },
    ]);
    const handled: number[] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      async ({ n }, { attempt }) => {
        if (n === 0 && attempt === 1) throw new Error('not yet');
        handled.push(n);
      },
      { concurrency: 2, key: ({ keys }) => keys, retry: { delaysMs: [300] }, observe: log.observe },
    );
    await consumer.start();
    await log.until('handled', 2);
    expect(handled).toEqual([1, 0]);
  },

  "a message that can't be decoded holds no key, and one whose key can't be determined is a dead letter":
    async (t) => {
      const queue = t.define(z.string().refine(async (text) => text !== 'unfit'));
      const sloppy = { ...queue, encode: (text: string) => ({ contentType: 'text/plain', body: text }) };
      await createProducer(t.broker, sloppy).sendMany(['unfit', 'no key', 'throws', 'good']);
      const log = new EventLog();
      const handled: string[] = [];
      const consumer = createConsumer(
        t.broker,
        queue,
        (text) => {
          handled.push(text);
        },
        {
          key: (text) => {
            if (text === 'throws') throw new Error('nobody knows');
            return (text === 'no key' ? undefined : text) as string;
          },
          observe: log.observe,
        },
      );
      await consumer.start();
      await log.until('handled');
      expect(handled).toEqual(['good']);
      const dead = await (await t.inbox(`${queue.name}.dead`)).take(3);
      const histories = dead.map(({ message }) => deadLetterHistory(message.headers));
      expect(histories.map((history) => history?.reason)).toEqual(['invalid', 'invalid', 'invalid']);
      expect(histories[2]?.error).toContain('nobody knows');
    },

  'stop returns the messages that wait for their key, in order': async (t) => {
    const jobs = Array.from({ length: 40 }, (_, n) => ({ n, keys: ['a'] }));
    // So many that some wait for their key, some are on their way, and some are still in the queue.
    const { queue, begun, letGo, consumer } = await heldByKey(t, jobs, 15);
    await eventually(() => begun.length === 1);
    const stopping = consumer.stop();
    await eventually(async () => (await t.ready(queue.name)) === 39);
    letGo(0);
    expect(await stopping).toEqual({ unfinished: 0 });
    const rest = await (await t.inbox(queue.name)).take(39);
    const order = rest.map(({ message }) => JSON.parse(String(message.body)).n);
    expect(order).toEqual(jobs.slice(1).map(({ n }) => n));
    for (const delivery of rest) expect(delivery.attempt).toBe(1);
  },
};
