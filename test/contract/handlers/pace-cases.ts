import { expect } from 'vitest';
import { z } from 'zod';
import { Deferred } from '../../../src/common/waiting/waiting.js';
import type { Handler } from '../../../src/consumer/consumer.js';
import type { ConsumerOptions } from '../../../src/consumer/consumer-options.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { Postpone } from '../../../src/errors.js';
import { createProducer } from '../../../src/producer/producer.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { type ContractContext, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** A queue with these texts, and a consumer of it, not started yet. */
async function paced(
  t: ContractContext,
  texts: readonly string[],
  handle: Handler<string>,
  options: ConsumerOptions<string> = {},
) {
  const queue = t.define(z.string());
  const producer = createProducer(t.broker, queue);
  await t.broker.declare(queue.spec);
  await producer.sendMany(texts);
  const log = new EventLog();
  const consumer = createConsumer(t.broker, queue, handle, { observe: log.observe, ...options });
  return { queue, producer, log, consumer };
}

/** Timers may fire a fraction of a millisecond early. */
const TIMER_GRAIN_MS = 1;

export const paceCases: Cases = {
  'no more handlers begin in any span of time than the rate says, and all of them begin': async (t) => {
    const begun: number[] = [];
    const { log, consumer } = await paced(t, numbered(12), () => begun.push(performance.now()), {
      concurrency: 4,
      rate: { limit: 3, perMs: 100 },
    });
    const before = performance.now();
    await consumer.start();
    await log.until('handled', 12);
    expect((begun.at(-1) ?? 0) - before).toBeGreaterThanOrEqual(300 - TIMER_GRAIN_MS);
    expect(consumer.counts).toMatchObject({ handled: 12, released: 0 });
    await consumer.stop();
  },

  'with a key each has a rate of its own, and one that is exhausted does not hold up the others': async (
    t,
  ) => {
    const keyOf = (text: string) => text.slice(0, 1);
    const begun: { readonly key: string; readonly at: number }[] = [];
    const texts = ['a1', 'a2', 'a3', 'a4', 'b1', 'b2'];
    const { log, consumer } = await paced(
      t,
      texts,
      (text) => {
        begun.push({ key: keyOf(text), at: performance.now() });
      },
      { prefetch: 6, rate: { limit: 1, perMs: 150, key: keyOf } },
    );
    const before = performance.now();
    await consumer.start();
    await log.until('handled', 6);
    const last = (key: string) => begun.findLast((one) => one.key === key)?.at ?? 0;
    expect(last('a') - before).toBeGreaterThanOrEqual(3 * 150 - TIMER_GRAIN_MS);
    expect(last('b') - before).toBeGreaterThanOrEqual(150 - TIMER_GRAIN_MS);
    await consumer.stop();

    const order: string[] = [];
    const slow = await paced(t, texts, (text) => order.push(text), {
      prefetch: 6,
      rate: { limit: 1, perMs: 600_000, key: keyOf },
    });
    await slow.consumer.start();
    // b1 does not wait for the other three of a.
    await slow.log.until('handled', 2);
    expect(order).toEqual(['a1', 'b1']);
    await slow.consumer.stop();
  },

  'a rate whose key fails makes a dead letter': async (t) => {
    const { log, consumer } = await paced(t, ['bad', 'good'], () => {}, {
      rate: {
        limit: 10,
        perMs: 10,
        key: (text) => {
          if (text === 'bad') throw new Error('no account');
          return text;
        },
      },
    });
    await consumer.start();
    await log.until('handled');
    expect(await log.until('dead-lettered')).toMatchObject([
      { failure: { code: 'invalid', error: 'the key function failed: no account' } },
    ]);
    await consumer.stop();
  },

  'a key of a rate is computed once for each message, and a promise for one ends neither it nor the process':
    async (t) => {
      const unhandled: unknown[] = [];
      const onUnhandled = (reason: unknown) => unhandled.push(reason);
      process.on('unhandledRejection', onUnhandled);
      try {
        const seen = new Set<string>();
        const { log, consumer } = await paced(t, ['async', 'a', 'b'], () => {}, {
          rate: {
            limit: 1,
            perMs: 20,
            key: (text) => {
              if (text === 'async') return Promise.reject(new Error('no account')) as unknown as string;
              if (seen.has(text)) throw new Error('asked twice');
              seen.add(text);
              return 'all';
            },
          },
        });
        await consumer.start();
        await log.until('handled', 2);
        const error = 'the key function failed: rate.key: expected a string to be returned, not a promise';
        expect(await log.until('dead-lettered')).toMatchObject([{ failure: { code: 'invalid', error } }]);
        await consumer.stop();
      } finally {
        process.off('unhandledRejection', onUnhandled);
      }
      expect(unhandled).toEqual([]);
    },

  'a rate of the queue is shared by all of its consumers, or refused where nobody can count over them':
    async (t) => {
      const begun: number[] = [];
      const options = { concurrency: 4, rate: { limit: 3, perMs: 200, per: 'queue' } } as const;
      const handle = () => begun.push(performance.now());
      if (t.broker.takeStarts === undefined) {
        const queue = t.define(z.string());
        expect(() => createConsumer(t.broker, queue, handle, options)).toThrow(
          expect.objectContaining({
            code: 'UNSUPPORTED',
            message: expect.stringContaining('works on local brokers'),
          }),
        );
        return;
      }
      const { queue, log, consumer } = await paced(t, numbered(12), handle, options);
      const [, broker = t.broker] = await t.connections(2);
      const other = createConsumer(broker, queue, handle, { ...options, observe: log.observe });
      const before = performance.now();
      await Promise.all([consumer.start(), other.start()]);
      await log.until('handled', 12);
      expect((begun.at(-1) ?? 0) - before).toBeGreaterThanOrEqual(3 * 200 - TIMER_GRAIN_MS);
      await consumer.pause();
      await consumer.resume();
      await Promise.all([consumer.stop(), other.stop()]);
      expect(await t.ready(queue.name)).toBe(0);
    },

  'stop returns what waits for its turn': async (t) => {
    const { queue, log, consumer } = await paced(t, numbered(6), () => {}, {
      prefetch: 4,
      rate: { limit: 2, perMs: 600_000 },
    });
    await consumer.start();
    await log.until('handled', 2);
    await t.untilCounted(queue.name, { ready: 0 }).catch(() => {});
    await consumer.stop();
    expect(consumer.counts.handled).toBe(2);
    await t.untilCounted(queue.name, { ready: 4 });
  },

  'as many of a key run at once as maxPerKey says': async (t) => {
    const gates: Deferred[] = [];
    let running = 0;
    let most = 0;
    const { log, consumer } = await paced(
      t,
      numbered(8),
      async () => {
        most = Math.max(most, ++running);
        const gate = new Deferred();
        gates.push(gate);
        await gate.promise;
        running--;
      },
      { concurrency: 8, key: () => 'all', maxPerKey: 3 },
    );
    await consumer.start();
    for (let done = 0; done < 8; done++) {
      await eventually(() => gates.length > done);
      if (done === 0) await eventually(() => running === 3);
      gates[done]?.resolve();
    }
    await log.until('handled', 8);
    expect(most).toBe(3);
    await consumer.stop();
  },

  'pause returns what has not begun at no cost, and resume goes on': async (t) => {
    const gate = new Deferred();
    const begun: [string, number][] = [];
    const { queue, producer, log, consumer } = await paced(
      t,
      numbered(5),
      async (text, { attempt }) => {
        begun.push([text, attempt]);
        if (text === 'm0') await gate.promise;
      },
      { prefetch: 5 },
    );
    await consumer.start();
    await eventually(() => begun.length === 1);
    await consumer.pause();
    expect(consumer.state).toBe('paused');
    await t.untilCounted(queue.name, { ready: 4 });
    await producer.send('late');
    gate.resolve();
    await log.until('handled');
    expect(begun).toEqual([['m0', 1]]);
    await t.untilCounted(queue.name, { ready: 5 });
    await consumer.resume();
    expect(consumer.state).toBe('running');
    await log.until('handled', 6);
    expect(begun.map(([text]) => text).sort()).toEqual([...numbered(5), 'late'].sort());
    expect(log.of('paused')).toEqual([{ type: 'paused', queue: queue.name, forMs: undefined }]);
    expect(log.of('resumed')).toEqual([{ type: 'resumed', queue: queue.name }]);
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
    expect(consumer.counts).toMatchObject({ handled: 6, retried: 0, deadLettered: 0, lost: 0 });
  },

  'a pause in the handler of the first message keeps or returns the next ones once': async (t) => {
    const texts: string[] = [];
    const { log, consumer } = await paced(t, ['a', 'b', 'c'], (text) => {
      if (texts.push(text) === 1) void consumer.pause();
    });
    await consumer.start();
    await log.until('paused');
    await log.until('handled');
    await consumer.resume();
    await log.until('handled', 3);
    expect(texts.sort()).toEqual(['a', 'b', 'c']);
    // One that arrived while it was subscribing was returned over and over.
    expect(consumer.counts.released).toBeLessThanOrEqual(4);
    await consumer.stop();
  },

  'a handler that runs on through a pause and a resume is acknowledged, or retried': async (t) => {
    const gates = new Map<string, Deferred>();
    const { queue, producer, log, consumer } = await paced(
      t,
      ['good', 'bad'],
      async (text, { attempt }) => {
        if (attempt > 1 || text === 'late') return;
        const gate = new Deferred();
        gates.set(text, gate);
        await gate.promise;
      },
      { concurrency: 3, retry: { delaysMs: [0] } },
    );
    await consumer.start();
    await eventually(() => gates.size === 2);
    await consumer.pause();
    await consumer.resume();
    await producer.send('late');
    await log.until('handled');
    gates.get('good')?.resolve();
    gates.get('bad')?.reject(new Error('no'));
    await log.until('handled', 3);
    await log.until('retried');
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
    expect(consumer.counts).toMatchObject({ handled: 3, retried: 1, lost: 0 });
  },

  'a consumer may be paused and resumed over and over, and stopped while it is paused': async (t) => {
    const { queue, producer, log, consumer } = await paced(t, [], () => {}, {});
    await consumer.start();
    for (let round = 1; round <= 5; round++) {
      await consumer.pause();
      await consumer.pause();
      await producer.send(`m${round}`);
      await Promise.all([consumer.resume(), consumer.resume()]);
      await log.until('handled', round);
    }
    await consumer.pause();
    await producer.send('left');
    expect(await consumer.stop()).toEqual({ unfinished: 0 });
    expect(consumer.state).toBe('stopped');
    expect(await t.ready(queue.name)).toBe(1);
    await rejection(consumer.pause(), 'CLOSED');
    await rejection(consumer.resume(), 'CLOSED');
  },

  'a paused consumer ends with its broker': async (t) => {
    const broker = await t.open();
    const queue = t.define(z.string());
    const consumer = createConsumer(broker, queue, () => {});
    await rejection(consumer.pause(), 'CLOSED');
    await consumer.start();
    await consumer.pause();
    await broker.close();
    await consumer.ended;
    expect(consumer.state).toBe('stopped');
  },

  'a breaker pauses when handlers fail, tries one message after another, and goes on when one succeeds':
    async (t) => {
      let isDown = true;
      const { log, consumer } = await paced(
        t,
        numbered(30),
        async () => {
          await Promise.resolve();
          if (isDown) throw new Error('they are down');
        },
        {
          concurrency: 4,
          retry: { delaysMs: Array.from({ length: 20 }, () => 0) },
          breaker: { failures: 4, ofLast: 10, pauseMs: 100 },
        },
      );
      await consumer.start();
      expect(await log.until('paused', 3)).toMatchObject([{ forMs: 100 }, { forMs: 100 }, { forMs: 100 }]);
      // The four that opened it, those beside them, and one for each try since.
      expect(log.of('retried').length).toBeLessThanOrEqual(4 + 3 + log.of('paused').length);
      isDown = false;
      await log.until('handled', 30);
      expect(consumer.state).toBe('running');
      expect(consumer.counts.deadLettered).toBe(0);
      // Not more than what was prefetched when it opened: each try takes one message.
      expect(consumer.counts.released).toBeLessThanOrEqual(8);
      await consumer.stop();
    },

  'pauses, resumes and stops come through whatever a breaker is at': async (t) => {
    let isDown = true;
    const { queue, log, consumer } = await paced(
      t,
      numbered(12),
      async () => {
        await Promise.resolve();
        if (isDown) throw new Error('down');
      },
      {
        concurrency: 2,
        prefetch: 6,
        retry: { delaysMs: Array.from({ length: 50 }, () => 0) },
        breaker: { failures: 2, ofLast: 2, pauseMs: 30 },
      },
    );
    await consumer.start();
    for (let round = 1; round <= 4; round++) {
      await log.until('paused', round);
      await consumer.pause();
      // The breaker's time passes, and the consumer stays paused.
      await new Promise((resolve) => setTimeout(resolve, 60));
      expect(consumer.state).toBe('paused');
      await Promise.all([consumer.resume(), consumer.resume()]);
    }
    isDown = false;
    await log.until('handled', 12);
    await Promise.all([consumer.pause(), consumer.stop()]);
    expect(consumer.state).toBe('stopped');
    expect(consumer.error).toBeUndefined();
    expect(await t.ready(queue.name)).toBe(0);
    expect(consumer.counts).toMatchObject({ handled: 12, deadLettered: 0, lost: 0 });
  },

  'what is postponed or rejected does not open a breaker, and resume closes it': async (t) => {
    let isDown = false;
    const { log, producer, consumer } = await paced(
      t,
      numbered(5),
      (_text, { headers }) => {
        if (headers['x-millrace-postpones'] === undefined) throw new Postpone(0);
        if (isDown) throw new Error('down');
      },
      { retry: { delaysMs: [0, 0, 0] }, breaker: { failures: 1, ofLast: 1, pauseMs: 600_000 } },
    );
    await consumer.start();
    await log.until('handled', 5);
    expect(log.of('paused')).toEqual([]);
    isDown = true;
    await producer.send('x');
    await log.until('paused');
    await eventually(() => consumer.state === 'paused');
    isDown = false;
    await consumer.resume();
    await log.until('handled', 6);
    await consumer.stop();
  },

  'limits that make no sense are refused at the door': async (t) => {
    const queue = t.define(z.string());
    const make = (options: object) => () => createConsumer(t.broker, queue, () => {}, options);
    for (const options of [
      { rate: { limit: 0, perMs: 10 } },
      { rate: { limit: Number.NaN, perMs: 10 } },
      { rate: { limit: 1.5, perMs: 10 } },
      { rate: { limit: 2 ** 53, perMs: 10 } },
      { rate: { limit: Number.POSITIVE_INFINITY, perMs: 10 } },
      { rate: { limit: 1, perMs: 0 } },
      { rate: { limit: 1, perMs: Number.NaN } },
      { rate: { limit: 1, perMs: Number.POSITIVE_INFINITY } },
      { rate: { limit: 1, perMs: 10, per: 'machine' } },
      { rate: [] },
      { rate: 10 },
      { rate: { limit: 1 } },
      { rate: { limit: 1, perMs: 10, burst: 3 } },
      { rate: { limit: 1, perMs: 10, key: 'tenant' } },
      { maxPerKey: 2 },
      { maxPerKey: 0, key: () => 'a' },
      { breaker: { failures: 3, ofLast: 2, pauseMs: 1 } },
      { breaker: { ofLast: 0 } },
      { breaker: { pauseMs: 0 } },
    ]) {
      expect(make(options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
    }
    for (const breaker of [{}, { failures: 3 }, { ofLast: 5 }, { pauseMs: 1 }]) make({ breaker })();
  },
};
