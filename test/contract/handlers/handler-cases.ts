import { expect } from 'vitest';
import { z } from 'zod';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import type { HandlerContext } from '../../../src/consumer/consumer.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { isQueueError, RejectMessage } from '../../../src/errors.js';
import { createProducer } from '../../../src/producer/producer.js';
import { EventLog } from '../../support/event-log.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { recordWarnings } from '../../support/warnings.js';
import type { ContractContext } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const hostile = {
  toString() {
    throw new Error('not even printable');
  },
};

/** The one dead letter of a queue. */
async function deadLetterOf(t: ContractContext, queue: string) {
  return (await (await t.inbox(`${queue}.dead`)).next()).message;
}

export const handlerCases: Cases = {
  "a handler gets the value and the message's properties; returning acknowledges the message": async (t) => {
    const queue = t.define(z.object({ total: z.number() }));
    const before = Date.now();
    const { id } = await createProducer(t.broker, queue).send(
      { total: 2.5 },
      { headers: { tenant: 'blue' }, correlationId: 'c1', replyTo: 'answers' },
    );
    const calls: [unknown, HandlerContext][] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      (value, context) => {
        calls.push([value, context]);
      },
      { observe: log.observe },
    );
    await consumer.start();
    expect(await log.until('handled')).toEqual([
      { type: 'handled', queue: queue.name, id, attempt: 1, redelivered: false },
    ]);
    expect(calls).toHaveLength(1);
    const [value, context] = calls[0] ?? [];
    expect(value).toEqual({ total: 2.5 });
    expect(context).toMatchObject({ queue: queue.name, id, attempt: 1, redelivered: false });
    expect(context).toMatchObject({ correlationId: 'c1', replyTo: 'answers' });
    expect({ ...context?.headers }).toEqual({ tenant: 'blue' });
    expect(Math.floor((context?.timestamp ?? 0) / 1000)).toBeGreaterThanOrEqual(Math.floor(before / 1000));
    expect(context?.signal.aborted).toBe(false);
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
  },

  'a handler that throws gets its message again with attempt incremented, then it is a dead letter': async (
    t,
  ) => {
    const queue = t.define(z.string());
    const { id } = await createProducer(t.broker, queue).send('x', { headers: { tenant: 'blue' } });
    const attempts: [number, boolean][] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      async (_value, { attempt, redelivered }) => {
        attempts.push([attempt, redelivered]);
        throw new Error(`failure ${attempt}`);
      },
      { retry: { delaysMs: [50, 0] }, observe: log.observe },
    );
    await consumer.start();
    const events = await log.allByAttempt(3);
    expect(attempts).toEqual([
      [1, false],
      [2, true],
      [3, true],
    ]);
    expect(events).toMatchObject([
      { type: 'retried', id, attempt: 1, delayMs: 50, failure: { code: 'failed', error: 'failure 1' } },
      { type: 'retried', id, attempt: 2, delayMs: 0, error: { message: 'failure 2' } },
      { type: 'dead-lettered', id, attempt: 3, failure: { code: 'failed', error: 'failure 3' } },
    ]);
    const dead = await deadLetterOf(t, queue.name);
    expect(dead).toMatchObject({ id, headers: { tenant: 'blue' } });
    expect(Buffer.from(dead.body).toString()).toBe('"x"');
    expect(deadLetterHistory(dead.headers)).toMatchObject({
      reason: 'failed',
      error: 'failure 3',
      firstError: 'failure 1',
      attempts: 3,
      queue: queue.name,
    });
  },

  'other messages are handled while a failed one waits for its next attempt': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    for (const text of ['failing', 'b', 'c']) await producer.send(text);
    const handled: string[] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      (text, { attempt }) => {
        if (text === 'failing' && attempt === 1) throw new Error('not yet');
        handled.push(text);
      },
      { concurrency: 1, prefetch: 1, retry: { delaysMs: [500] }, observe: log.observe },
    );
    await consumer.start();
    await log.until('handled', 3);
    expect(handled).toEqual(['b', 'c', 'failing']);
  },

  'a failure that is overcome by a retry leaves nothing behind': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x');
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      (_value, { attempt }) => {
        if (attempt < 3) throw new Error('not yet');
      },
      { retry: { delaysMs: [0, 20, 20] }, observe: log.observe },
    );
    await consumer.start();
    expect(await log.until('handled')).toMatchObject([{ attempt: 3, redelivered: true }]);
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
    expect(await t.ready(`${queue.name}.dead`)).toBe(0);
  },

  'without retries the first failure is the last': async (t) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x');
    const consumer = createConsumer(
      t.broker,
      queue,
      () => {
        throw new Error('no');
      },
      { retry: { delaysMs: [] } },
    );
    await consumer.start();
    const { headers } = await deadLetterOf(t, queue.name);
    expect(deadLetterHistory(headers)).toMatchObject({ reason: 'failed', error: 'no', attempts: 1 });
  },

  'RejectMessage makes a dead letter at once, whatever the policy': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x');
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      async () => {
        throw new RejectMessage('negative total');
      },
      { observe: log.observe },
    );
    await consumer.start();
    await log.until('dead-lettered');
    expect(log.events).toMatchObject([{ type: 'dead-lettered', attempt: 1 }]);
    const { headers } = await deadLetterOf(t, queue.name);
    expect(deadLetterHistory(headers)).toMatchObject({
      reason: 'rejected',
      error: 'negative total',
      attempts: 1,
      queue: queue.name,
    });
  },

  'a RejectMessage of another copy of the package rejects, and an error that is only named so does not':
    async (t) => {
      class RejectMessageOfAnotherCopy extends Error {
        override readonly name = 'Renamed';
      }
      Object.defineProperty(RejectMessageOfAnotherCopy.prototype, Symbol.for('millrace.RejectMessage'), {
        value: true,
      });
      class OwnRejection extends RejectMessage {
        override readonly name: never = 'OwnRejection' as never;
      }
      const thrown = [
        new RejectMessageOfAnotherCopy('other'),
        new OwnRejection('own'),
        Object.assign(new Error('named'), { name: 'RejectMessage' }),
      ];
      const queue = t.define(z.number());
      await createProducer(t.broker, queue).sendMany([0, 1, 2]);
      const log = new EventLog();
      const handler = (index: number) => Promise.reject(thrown[index]);
      const consumer = createConsumer(t.broker, queue, handler, {
        retry: { delaysMs: [0] },
        observe: log.observe,
      });
      await consumer.start();
      const dead = await log.until('dead-lettered', 3);
      expect(new Map(dead.map(({ failure: { error, code }, attempt }) => [error, [code, attempt]]))).toEqual(
        new Map([
          ['other', ['rejected', 1]],
          ['own', ['rejected', 1]],
          ['named', ['failed', 2]],
        ]),
      );
      await consumer.stop();
    },

  'whatever a handler throws counts as a failure, and the consumer continues': async (t) => {
    const queue = t.define(z.number());
    const unprintable = new Error('never seen');
    Object.defineProperty(unprintable, 'message', { get: hostile.toString });
    const getters = Object.defineProperties(
      {},
      Object.fromEntries(
        ['message', 'name', 'code', 'stack', 'cause', 'then'].map((key) => [
          key,
          { get: hostile.toString, enumerable: true },
        ]),
      ),
    );
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const thrown: unknown[] = [
      ...[undefined, null, '', 'a string', 0, Symbol('s'), {}, 5n, () => {}, Object.create(null)],
      ...[
        hostile,
        unprintable,
        getters,
        revoked.proxy,
        Object.freeze(new Error('frozen')),
        Object.freeze({}),
      ],
    ];
    const log = new EventLog();
    const handler = (index: number) => {
      if (index < thrown.length) throw thrown[index];
      if (index < 2 * thrown.length) return Promise.reject(thrown[index - thrown.length]);
      return undefined;
    };
    const consumer = createConsumer(t.broker, queue, handler, {
      retry: { delaysMs: [] },
      observe: log.observe,
    });
    await consumer.start();
    const count = 2 * thrown.length;
    await createProducer(t.broker, queue).sendMany(Array.from({ length: count + 1 }, (_, index) => index));
    await log.until('handled');
    expect(await log.until('dead-lettered', count)).toHaveLength(count);
    const dead = await (await t.inbox(`${queue.name}.dead`)).take(count);
    for (const { message } of dead) {
      expect(deadLetterHistory(message.headers)).toMatchObject({
        reason: 'failed',
        error: expect.any(String),
      });
    }
  },

  'a handler that returns a value which throws when it is inspected has failed, and the consumer continues':
    async (t) => {
      const queue = t.define(z.number());
      const throwing = () => {
        throw new Error('do not touch');
      };
      const revoked = Proxy.revocable({}, {});
      revoked.revoke();
      const returned = [
        Object.defineProperty({}, 'then', { get: throwing }),
        // biome-ignore lint/suspicious/noThenProperty: it is what this is about
        { then: throwing },
        revoked.proxy,
      ];
      const log = new EventLog();
      const handler = (index: number) => returned[index];
      const options = { retry: { delaysMs: [] }, observe: log.observe };
      const consumer = createConsumer(t.broker, queue, handler, options);
      await consumer.start();
      await createProducer(t.broker, queue).sendMany([0, 1, 2, 3]);
      await log.until('handled');
      expect((await log.until('dead-lettered', 3)).map(({ failure }) => failure.code)).toEqual([
        'failed',
        'failed',
        'failed',
      ]);
      await consumer.stop();
    },

  'headers that leave no room for the history are dropped, not the dead letter': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    // The bound is on all headers together, names and lengths included.
    const sendLargest = async (bytes: number): Promise<string> => {
      try {
        return (await producer.send('x', { headers: { small: 'kept', large: 'l'.repeat(bytes) } })).id;
      } catch (error) {
        if (isQueueError(error, 'INVALID_OPTION')) return sendLargest(bytes - 1);
        throw error;
      }
    };
    const id = await sendLargest(64 * 1024);
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      () => {
        throw new Error('no use');
      },
      { retry: { delaysMs: [0] }, observe: log.observe },
    );
    await consumer.start();
    expect(await log.allByAttempt(2)).toMatchObject([
      { type: 'retried', id, attempt: 1 },
      { type: 'dead-lettered', id, attempt: 2 },
    ]);
    await consumer.stop();
    const dead = await deadLetterOf(t, queue.name);
    expect(dead).toMatchObject({ id, headers: { small: 'kept' } });
    expect(deadLetterHistory(dead.headers)).toMatchObject({ reason: 'failed', error: 'no use', attempts: 2 });
  },

  'a handler that outlives its time limit has its signal aborted, and has failed': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('slow');
    const log = new EventLog();
    const aborted: unknown[] = [];
    const consumer = createConsumer(
      t.broker,
      queue,
      (_value, { attempt, signal }) => {
        if (attempt > 1) return undefined;
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted.push(signal.reason);
            reject(signal.reason);
          });
        });
      },
      { handlerTimeoutMs: 100, retry: { delaysMs: [0] }, observe: log.observe },
    );
    await consumer.start();
    expect(await log.until('handled')).toMatchObject([{ attempt: 2 }]);
    expect(aborted).toMatchObject([{ code: 'TIMEOUT' }]);
    expect(log.events[0]).toMatchObject({ type: 'slow', limit: 'handler', attempt: 1 });
    expect(log.of('slow')).toHaveLength(1);
    expect(await log.until('retried')).toMatchObject([{ attempt: 1, failure: { code: 'failed' } }]);
  },

  'a handler that ignores its signal does not hold up the next message': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    await producer.send('stuck');
    await producer.send('next');
    const log = new EventLog();
    const contexts: HandlerContext[] = [];
    const consumer = createConsumer(
      t.broker,
      queue,
      (text, context) => {
        if (text !== 'stuck') return undefined;
        contexts.push(context);
        return new Promise(() => {});
      },
      { concurrency: 1, handlerTimeoutMs: 100, retry: { delaysMs: [] }, observe: log.observe },
    );
    await consumer.start();
    await log.until('handled');
    expect(await log.until('dead-lettered')).toMatchObject([{ failure: { code: 'failed' } }]);
    // A handler that looks at its signal only now must see it, too.
    expect(contexts[0]?.signal.aborted).toBe(true);
    await consumer.stop();
  },

  'exactly `concurrency` handlers run at once': async (t) => {
    const queue = t.define(z.number());
    const count = 40;
    await createProducer(t.broker, queue).sendMany(Array.from({ length: count }, (_, index) => index));
    let running = 0;
    let mostRunning = 0;
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      async () => {
        running++;
        mostRunning = Math.max(mostRunning, running);
        // Held until the others are there, which shows that they do run side by side.
        if (mostRunning < 4) await eventually(() => mostRunning >= 4, { intervalMs: 2 });
        await new Promise(setImmediate);
        running--;
      },
      { concurrency: 4, observe: log.observe },
    );
    await consumer.start();
    await log.until('handled', count);
    expect(mostRunning).toBe(4);
  },

  'with concurrency 1 the order is kept': async (t) => {
    const queue = t.define(z.number());
    const values = Array.from({ length: 200 }, (_, index) => index);
    const handled: number[] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      async (value) => {
        await new Promise(setImmediate);
        handled.push(value);
      },
      { prefetch: 50, observe: log.observe },
    );
    await consumer.start();
    await createProducer(t.broker, queue).sendMany(values);
    await log.until('handled', values.length);
    expect(handled).toEqual(values);
  },

  'a consumer prefetches no more than its prefetch': async (t) => {
    const queue = t.define(z.number());
    await createProducer(t.broker, queue).sendMany(Array.from({ length: 20 }, (_, index) => index));
    const { promise: open, resolve: letGo } = gate();
    const begun: number[] = [];
    const consumer = createConsumer(
      t.broker,
      queue,
      async (value) => {
        begun.push(value);
        await open;
      },
      { concurrency: 2, prefetch: 5 },
    );
    await consumer.start();
    await eventually(() => begun.length === 2);
    await t.untilCounted(queue.name, { ready: 15 });
    letGo();
    await eventually(() => begun.length === 20);
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
  },

  'a consumer counts the outcomes of its messages, with or without an observer': async (t) => {
    recordWarnings('MILLRACE_ATTEMPT_FAILED', 'MILLRACE_DEAD_LETTER');
    const queue = t.define(z.string());
    const { promise: open, resolve: letGo } = gate();
    let begun = false;
    const consumer = createConsumer(
      t.broker,
      queue,
      async (text, { attempt }) => {
        if (text === 'stuck') {
          begun = true;
          await open;
        }
        if (text === 'failing' || (text === 'once' && attempt === 1)) throw new Error('no');
      },
      { concurrency: 1, prefetch: 2, retry: { delaysMs: [0] } },
    );
    const none = {
      handled: 0,
      retried: 0,
      postponed: 0,
      deadLettered: 0,
      expired: 0,
      released: 0,
      lost: 0,
      settleFailed: 0,
      redelivered: 0,
    };
    expect(consumer.counts).toEqual(none);
    await consumer.start();
    const producer = createProducer(t.broker, queue);
    for (const text of ['good', 'once', 'failing']) await producer.send(text);
    const settled = { ...none, handled: 2, retried: 2, deadLettered: 1, redelivered: 2 };
    await untilAsserted(() => expect(consumer.counts).toEqual(settled));
    await producer.send('stuck');
    await eventually(() => begun);
    expect(await consumer.stop({ deadlineMs: 0 })).toEqual({ unfinished: 1 });
    expect(consumer.counts).toEqual({ ...settled, released: 1 });
    letGo();
  },

  'a context is its public fields, and a copy of it has a live signal': async (t) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x', { headers: { tenant: 'blue' } });
    const copies: HandlerContext[] = [];
    const consumer = createConsumer(
      t.broker,
      queue,
      (_value, context) => {
        copies.push({ ...context });
        expect(context.signal).toBe(copies.at(-1)?.signal);
        return new Promise(() => {});
      },
      { handlerTimeoutMs: 50, retry: { delaysMs: [] } },
    );
    await consumer.start();
    await eventually(() => copies[0]?.signal.aborted === true);
    expect(Object.keys(copies[0] ?? {}).sort()).toEqual([
      'appId',
      'attempt',
      'correlationId',
      'exchange',
      'expiresAt',
      'headers',
      'id',
      'queue',
      'redelivered',
      'replyTo',
      'routingKey',
      'signal',
      'timestamp',
      'type',
      'userId',
    ]);
    expect(copies[0]).toMatchObject({ queue: queue.name, attempt: 1, headers: { tenant: 'blue' } });
    await consumer.stop();
  },

  'a callable thenable, as query builders return, is a promise: waited for, once, under the time limit':
    async (t) => {
      const queue = t.define(z.string());
      const producer = createProducer(t.broker, queue);
      await producer.send('runs');
      await producer.send('hangs');
      const runs: string[] = [];
      const query = (text: string) =>
        Object.assign(() => {}, {
          // biome-ignore lint/suspicious/noThenProperty: it is what this is about
          then(resolve: (rows: unknown) => void) {
            runs.push(text);
            if (text !== 'hangs') resolve([]);
          },
        });
      const log = new EventLog();
      const consumer = createConsumer(t.broker, queue, query, {
        handlerTimeoutMs: 200,
        retry: { delaysMs: [] },
        observe: log.observe,
      });
      await consumer.start();
      await log.until('dead-lettered');
      expect(log.events.map(({ type }) => type)).toEqual(['handled', 'slow', 'dead-lettered']);
      expect(runs).toEqual(['runs', 'hangs']);
      await consumer.stop();
    },

  'an observer that throws, or rejects, changes nothing': async (t) => {
    const queue = t.define(z.number());
    await createProducer(t.broker, queue).sendMany([1, 2, 3]);
    const handled: number[] = [];
    const consumer = createConsumer(
      t.broker,
      queue,
      (value) => {
        handled.push(value);
      },
      {
        observe({ type }) {
          const full = new Error('the log is full');
          if (handled.length === 1) throw full;
          return type === 'handled' ? Promise.reject(full) : undefined;
        },
      },
    );
    await consumer.start();
    await eventually(() => handled.length === 3);
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
  },
};

function gate(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((resolveIt) => {
    resolve = resolveIt;
  });
  return { promise, resolve };
}
