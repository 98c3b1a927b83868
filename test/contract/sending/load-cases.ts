import { expect } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

export const loadCases: Cases = {
  'a fast producer and a slow consumer: all is handled in order, the depth stays at the capacity': async (
    t,
  ) => {
    const queue = t.define(z.number(), { capacity: 20 });
    const values = Array.from({ length: 300 }, (_, index) => index);
    const handled: number[] = [];
    let sent = 0;
    let furthestAhead = 0;
    const consumer = createConsumer(t.broker, queue, async (value) => {
      await new Promise(setImmediate);
      handled.push(value);
      furthestAhead = Math.max(furthestAhead, sent - handled.length);
    });
    await consumer.start();
    const producer = createProducer(t.broker, queue);
    for (const value of values) {
      await producer.send(value);
      sent++;
    }
    await eventually(() => handled.length === values.length);
    expect(handled).toEqual(values);
    // RabbitMQ counts what is ready; the two prefetched ones, and the one it takes too many, come on top.
    expect(furthestAhead).toBeLessThanOrEqual(t.subject.exactCapacity ? 20 : 24);
    await consumer.stop();
  },

  'four producers and four consumers: each of 2,000 messages is handled exactly once': async (t) => {
    const queue = t.define(z.string(), { capacity: 500 });
    const handled: string[] = [];
    const log = new EventLog();
    const consumers = [1, 2, 3, 4].map((concurrency) =>
      createConsumer(
        t.broker,
        queue,
        async (text) => {
          await new Promise(setImmediate);
          handled.push(text);
        },
        { concurrency, prefetch: 4 * concurrency, observe: log.observe },
      ),
    );
    await Promise.all(consumers.map((consumer) => consumer.start()));
    const sets = ['a', 'b', 'c', 'd'].map((prefix) => numbered(500, prefix));
    const results = await Promise.all(sets.map((values) => createProducer(t.broker, queue).sendMany(values)));
    expect(results).toEqual(Array(4).fill({ stored: 500 }));
    await log.until('handled', 2000);
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    expect(handled.sort()).toEqual(sets.flat().sort());
    expect(log.of('handled')).toHaveLength(2000);
    expect(await t.ready(queue.name)).toBe(0);
    expect(await t.ready(`${queue.name}.dead`)).toBe(0);
  },

  'failures among many: each message is handled once or becomes a dead letter once': async (t) => {
    const queue = t.define(z.number());
    const log = new EventLog();
    const consumers = [1, 2].map(() =>
      createConsumer(
        t.broker,
        queue,
        async (value, { attempt }) => {
          await new Promise(setImmediate);
          // A third never succeeds, a third succeeds at the second attempt, a third at once.
          if (value % 3 === 0 || (value % 3 === 1 && attempt === 1)) throw new Error(`failure ${attempt}`);
        },
        { concurrency: 5, retry: { delaysMs: [0, 30] }, observe: log.observe },
      ),
    );
    await Promise.all(consumers.map((consumer) => consumer.start()));
    const values = Array.from({ length: 300 }, (_, index) => index);
    await createProducer(t.broker, queue).sendMany(values);
    await log.until('handled', 200);
    await log.until('dead-lettered', 100);
    await log.until('retried', 300);
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    expect(log.of('handled').filter(({ attempt }) => attempt === 2)).toHaveLength(100);
    expect(log.of('retried')).toHaveLength(300);
    const ends = [...log.of('handled'), ...log.of('dead-lettered')];
    expect(new Set(ends.map(({ id }) => id)).size).toBe(300);
    expect(ends).toHaveLength(300);
    expect(await t.ready(`${queue.name}.dead`)).toBe(100);
    expect(await t.ready(queue.name)).toBe(0);
  },
};
