import { expect } from 'vitest';
import { z } from 'zod';
import { Deferred } from '../../../src/common/waiting/waiting.js';
import type { Handler } from '../../../src/consumer/consumer.js';
import type { ConsumerOptions } from '../../../src/consumer/consumer-options.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { QueueError, RejectMessage } from '../../../src/errors.js';
import { createProducer } from '../../../src/producer/producer.js';
import { createRequester } from '../../../src/producer/requester.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { rejection, watch } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';
import { addressOf, type ContractContext, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** A started consumer of numbers, and a requester for it. */
async function asked(
  t: ContractContext,
  handler: Handler<number>,
  options: ConsumerOptions & { readonly reply?: z.ZodType } = {},
) {
  const { reply = z.unknown(), ...rest } = options;
  const queue = t.define(z.number());
  const log = new EventLog();
  const consumer = createConsumer(t.broker, queue, handler, {
    retry: { delaysMs: [] },
    observe: log.observe,
    ...rest,
  });
  await consumer.start();
  const requester = createRequester(t.broker, queue, { reply, timeoutMs: 60_000 });
  return { queue, log, consumer, requester };
}

export const requestCases: Cases = {
  'a request may be delayed': async (t) => {
    const { requester } = await asked(t, async () => Date.now());
    const before = Date.now();
    // A timer may be early by a millisecond.
    expect(await requester.request(1, { delayMs: 400 })).toBeGreaterThan(before + 395);
  },

  'a request resolves to what the handler returned, and is acknowledged': async (t) => {
    const { queue, log, requester, consumer } = await asked(t, async (n) => ({ square: n * n }), {
      reply: z.object({ square: z.number() }),
    });
    expect(await requester.request(12)).toEqual({ square: 144 });
    await log.until('handled');
    await requester.close();
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
  },

  'concurrent requests each get their own answer': async (t) => {
    const { requester } = await asked(t, async (n) => n * n, { concurrency: 5, reply: z.number() });
    const numbers = Array.from({ length: 100 }, (_, n) => n);
    const squares = await Promise.all(numbers.map((n) => requester.request(n)));
    expect(squares).toEqual(numbers.map((n) => n * n));
    await requester.close();
  },

  'requesters on other connections get their answers': async (t) => {
    const queue = t.define(z.string());
    const consumer = createConsumer(t.broker, queue, (text) => text.toUpperCase());
    await consumer.start();
    const brokers = [await t.open(), await t.open()];
    // A broker in memory is a world of its own.
    const isShared = await brokers[0]?.inspect(queue.name).catch(() => undefined);
    for (const [index, broker] of (isShared ? brokers : [t.broker, t.broker]).entries()) {
      const requester = createRequester(broker, queue, { reply: z.string() });
      expect(await requester.request(`from ${index}`)).toBe(`FROM ${index}`);
      await requester.close();
    }
  },

  'undefined, null and every JSON value arrive as they were returned': async (t) => {
    const values = [undefined, null, 0, '', false, [], { a: [1, 'ü', null] }];
    const { requester } = await asked(t, (n) => values[n]);
    for (const [n, value] of values.entries()) expect(await requester.request(n)).toEqual(value);
    await requester.close();
  },

  'when a handler fails for good, the reply has its message and code, and no stack': async (t) => {
    const thrown: unknown[] = [
      new Error('out of flour'),
      Object.assign(new Error('no such file'), { code: 'ENOENT' }),
      new RejectMessage('negative'),
      'a string',
      new QueueError('FULL', 'no room'),
    ];
    const { requester, log, queue } = await asked(t, (n) => {
      throw thrown[n];
    });
    const remote: unknown[] = [];
    for (const n of thrown.keys()) {
      const error = await rejection(requester.request(n), 'REMOTE_ERROR');
      remote.push(error.remote);
      expect(error.message).toContain(queue.name);
      expect(JSON.stringify(error.remote)).not.toContain('request-cases');
    }
    expect(remote).toEqual([
      { code: 'failed', message: 'out of flour' },
      { code: 'ENOENT', message: 'no such file' },
      { code: 'rejected', message: 'negative' },
      { code: 'failed', message: 'a thrown "a string"' },
      { code: 'FULL', message: 'no room' },
    ]);
    await log.until('dead-lettered', thrown.length);
    await requester.close();
  },

  'a failed attempt that is retried sends no reply': async (t) => {
    const { requester, log } = await asked(
      t,
      (n, { attempt }) => {
        if (attempt < 3) throw new Error(`failure ${attempt}`);
        return n + attempt;
      },
      { retry: { delaysMs: [20, 0] } },
    );
    expect(await requester.request(10)).toBe(13);
    expect(await log.until('retried', 2)).toHaveLength(2);
    await requester.close();
  },

  'a request that fails the schema of the queue is answered, too': async (t) => {
    const { queue } = await asked(t, (n) => n);
    const lax = { ...queue, encode: (value: unknown) => ({ contentType: '', body: JSON.stringify(value) }) };
    const requester = createRequester(t.broker, lax, { reply: z.number() });
    const error = await rejection(requester.request('seven'), 'REMOTE_ERROR');
    expect(error.remote?.code).toBe('invalid');
    await requester.close();
  },

  "a reply that fails its schema, can't be encoded or is too large is a REMOTE_ERROR": async (t) => {
    const replies = ['no number', 5n, 'x'.repeat(2 * 1024 * 1024)];
    const { requester, log } = await asked(t, (n) => replies[n], { reply: z.number() });
    const errors: QueueError[] = [];
    for (const n of replies.keys()) errors.push(await rejection(requester.request(n), 'REMOTE_ERROR'));
    expect(errors.map(({ remote }) => remote?.code)).toEqual(['invalid', 'INVALID_MESSAGE', 'TOO_LARGE']);
    expect(log.of('dead-lettered')).toEqual([]);
    await requester.close();
  },

  'a request without an answer in time is UNCONFIRMED, and a late answer is dropped': async (t) => {
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const { requester, log } = await asked(t, async (n) => {
      if (n === 1) await held;
      return n;
    });
    // The first one declares and connects, which takes as long as the machine needs.
    expect(await requester.request(0)).toBe(0);
    // A limit that ends before the request is stored is a plain TIMEOUT.
    const ask = (timeoutMs: number) =>
      rejection(requester.request(1, { timeoutMs }), 'UNCONFIRMED', 'TIMEOUT');
    let error = await ask(300);
    for (let timeoutMs = 3000; error.code === 'TIMEOUT'; timeoutMs *= 2) error = await ask(timeoutMs);
    expect(error).toMatchObject({ code: 'UNCONFIRMED', cause: { code: 'TIMEOUT' } });
    letGo();
    expect(await requester.request(2)).toBe(2);
    await log.until('handled', 3);
    await requester.close();
  },

  'a signal ends a request: ABORTED before it is sent, UNCONFIRMED when it is stored': async (t) => {
    const begun: number[] = [];
    const { requester } = await asked(t, (n) => {
      begun.push(n);
      return new Promise(() => {});
    });
    const reason = new Error('changed my mind');
    await rejection(requester.request(1, { signal: AbortSignal.abort(reason) }), 'ABORTED');
    const controller = new AbortController();
    const request = rejection(requester.request(2, { signal: controller.signal }), 'UNCONFIRMED');
    await eventually(() => begun.length === 1);
    controller.abort(reason);
    expect(await request).toMatchObject({ cause: { code: 'ABORTED', cause: reason } });
    expect(begun).toEqual([2]);
    await requester.close();
  },

  'one signal may end any number of requests': async (t) => {
    const warnings = recordWarnings();
    const { requester } = await asked(t, () => new Promise(() => {}));
    const controller = new AbortController();
    const { signal } = controller;
    const requests = Array.from({ length: 50 }, (_, n) =>
      rejection(requester.request(n, { signal }), 'ABORTED', 'UNCONFIRMED'),
    );
    await new Promise(setImmediate);
    controller.abort();
    await Promise.all(requests);
    expect(warnings).toEqual([]);
    await requester.close();
  },

  'a request that finds no room in time is TIMEOUT: nothing was stored': async (t) => {
    const queue = t.define(z.number(), { capacity: 1 });
    const requester = createRequester(t.broker, queue, { reply: z.number() });
    await t.broker.declare(queue.spec);
    const stored = await t.fill(queue.spec);
    await rejection(requester.request(1, { timeoutMs: 300 }), 'TIMEOUT');
    expect(await t.ready(queue.name)).toBe(stored.length);
    await requester.close();
  },

  'a value that fails the schema is refused before anything is sent': async (t) => {
    const queue = t.define(z.number());
    const requester = createRequester(t.broker, queue, { reply: z.number() });
    await rejection(requester.request('seven' as unknown as number), 'INVALID_MESSAGE');
    await rejection(t.broker.inspect(queue.name), 'QUEUE_MISSING');
    await requester.close();
  },

  'close ends pending requests as UNCONFIRMED, since they are stored, and none start after it': async (t) => {
    const begun: number[] = [];
    const { requester } = await asked(t, (n) => {
      begun.push(n);
      return new Promise(() => {});
    });
    const request = rejection(requester.request(1), 'UNCONFIRMED');
    await eventually(() => begun.length === 1);
    await Promise.all([requester.close(), requester.close()]);
    expect(await request).toMatchObject({ cause: { code: 'CLOSED' } });
    await rejection(requester.request(2), 'CLOSED');
  },

  'a request whose requester is closed before it is sent is CLOSED, and not stored': async (t) => {
    const queue = t.define(z.number());
    await t.broker.declare(queue.spec);
    const requester = createRequester(t.broker, queue, { reply: z.number() });
    const request = rejection(requester.request(1), 'CLOSED');
    await requester.close();
    await request;
    expect(await t.ready(queue.name)).toBe(0);
  },

  'a request whose requester is gone costs nothing': async (t) => {
    const begun: number[] = [];
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const { queue, requester, log } = await asked(t, async (n) => {
      begun.push(n);
      await held;
      return n;
    });
    const request = rejection(requester.request(1), 'UNCONFIRMED');
    await eventually(() => begun.length === 1);
    await requester.close();
    await request;
    letGo();
    await log.until('handled');
    expect(log.events.map(({ type }) => type)).toEqual(['handled']);
    expect(await t.ready(`${queue.name}.dead`)).toBe(0);
  },

  'a message with only one of replyTo and correlationId is not a request': async (t) => {
    const { queue, log, consumer } = await asked(t, (n) => n);
    const answers = await t.declare();
    const to = addressOf(queue.spec);
    await t.broker.publish(to, message({ contentType: '', body: '1', replyTo: answers.name }));
    await t.broker.publish(to, message({ contentType: '', body: '2', correlationId: 'c1' }));
    await log.until('handled', 2);
    await consumer.stop();
    expect(await t.ready(answers)).toBe(0);
  },

  'a consumer that allows it replies to any queue that the request names': async (t) => {
    const queue = t.define(z.number());
    const consumer = createConsumer(t.broker, queue, (n) => n + 1, { replies: 'any' });
    await consumer.start();
    const answers = await t.declare();
    const request = message({ contentType: '', body: '1', replyTo: answers.name, correlationId: 'c1' });
    await t.broker.publish(addressOf(queue.spec), request);
    const { message: reply } = await (await t.inbox(answers)).next();
    expect(reply).toMatchObject({ correlationId: 'c1', contentType: 'application/json' });
    expect(Buffer.from(reply.body).toString()).toBe('2');
    await consumer.stop();
  },

  'a reply that can not be stored is an event, and its message is handled': async (t) => {
    const { queue, log, consumer } = await asked(t, (n) => n, { replies: 'any' });
    const replyTo = `${queue.name}.gone`;
    const request = message({ contentType: '', body: '1', replyTo, correlationId: 'c1' });
    await t.broker.publish(addressOf(queue.spec), request);
    await log.until('handled');
    await consumer.stop();
    expect(log.events).toMatchObject([
      { type: 'reply-failed', queue: queue.name, id: request.id, error: { code: 'UNROUTABLE' } },
      { type: 'handled' },
    ]);
    expect(log.of('reply-failed')[0]?.error.message).toContain(replyTo);
  },

  "a sender can't choose the queue to which an ordinary consumer replies": async (t) => {
    const queue = t.define(z.number());
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      (n) => {
        if (n === 2) throw new RejectMessage('no');
        return n + 1;
      },
      { observe: log.observe },
    );
    await consumer.start();
    const other = await t.declare();
    for (const body of ['1', '2', '"x"', '{']) {
      await t.broker.publish(
        addressOf(queue.spec),
        message({ contentType: 'application/json', body, replyTo: other.name, correlationId: 'c1' }),
      );
    }
    await log.until('handled');
    await log.until('dead-lettered', 3);
    const requester = createRequester(t.broker, queue, { reply: z.number() });
    expect(await requester.request(3)).toBe(4);
    await requester.close();
    await consumer.stop();
    expect(await t.ready(other)).toBe(0);
  },

  'closing the broker ends pending requests': async (t) => {
    const broker = await t.open();
    const queue = t.define(z.number());
    const requester = createRequester(broker, queue, { reply: z.number() });
    const request = requester.request(1);
    const watched = watch(request);
    await eventually(async () => (await broker.inspect(queue.name)).ready === 1);
    expect(watched.state).toBe('pending');
    const ended = rejection(request, 'UNCONFIRMED');
    await broker.close();
    await ended;
    await requester.close();
  },

  "a handler's request to its own queue at concurrency 1 is refused at once": async (t) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(z.number());
    const requester = createRequester(t.broker, queue, { reply: z.number(), timeoutMs: 60_000 });
    const consumer = createConsumer(
      t.broker,
      queue,
      async (n: number): Promise<number> => (n === 0 ? 1 : n * (await requester.request(n - 1))),
      { retry: { delaysMs: [] } },
    );
    await consumer.start();
    const error = await rejection(requester.request(3), 'REMOTE_ERROR');
    expect(error.remote?.code).toBe('DEADLOCK');
    expect(error.remote?.message).toContain(queue.name);
    expect(await requester.request(0)).toBe(1);
    await requester.close();
    await consumer.stop();
  },

  "a handler's request with a key that it holds is refused, and one with another key is served": async (
    t,
  ) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(z.object({ key: z.string(), asks: z.string().optional() }));
    const requester = createRequester(t.broker, queue, { reply: z.string(), timeoutMs: 60_000 });
    const consumer = createConsumer(
      t.broker,
      queue,
      async ({ key, asks }): Promise<string> =>
        asks === undefined ? key : `${key} and ${await requester.request({ key: asks })}`,
      { concurrency: 4, key: ({ key }) => key, retry: { delaysMs: [] } },
    );
    await consumer.start();
    const error = await rejection(requester.request({ key: 'a', asks: 'a' }), 'REMOTE_ERROR');
    expect(error.remote?.code).toBe('DEADLOCK');
    expect(await requester.request({ key: 'a', asks: 'b' })).toBe('a and b');
    await requester.close();
    await consumer.stop();
  },

  'a handler may send requests to its own queue if there is a free handler or another consumer': async (
    t,
  ) => {
    const queue = t.define(z.number());
    const requester = createRequester(t.broker, queue, { reply: z.number(), timeoutMs: 60_000 });
    const factorial = async (n: number): Promise<number> =>
      n === 0 ? 1 : n * (await requester.request(n - 1));
    const wide = createConsumer(t.broker, queue, factorial, { concurrency: 4 });
    await wide.start();
    expect(await requester.request(3)).toBe(6);
    await wide.stop();

    const narrow = { concurrency: 1, prefetch: 1 };
    const pair = [1, 2].map(() => createConsumer(t.broker, queue, factorial, narrow));
    for (const consumer of pair) await consumer.start();
    await t.untilCounted(queue.name, { consumers: 2 });
    expect(await requester.request(1)).toBe(1);
    for (const consumer of pair) await consumer.stop();
    await requester.close();
  },

  'work that a handler leaves running may send requests to its queue once the handler has ended': async (
    t,
  ) => {
    const queue = t.define(z.number());
    const requester = createRequester(t.broker, queue, { reply: z.number(), timeoutMs: 60_000 });
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    let later: Promise<number> | undefined;
    const consumer = createConsumer(t.broker, queue, (n) => {
      if (n === 1) later = ended.then(() => requester.request(2));
      return n;
    });
    await consumer.start();
    expect(await requester.request(1)).toBe(1);
    end();
    expect(await later).toBe(2);
    await requester.close();
    await consumer.stop();
  },

  'a consumer that a handler starts is not part of that handler: its own handlers may send requests': async (
    t,
  ) => {
    const [queue, jobs] = [t.define(z.number()), t.define(z.number())];
    const requester = createRequester(t.broker, queue, { reply: z.number(), timeoutMs: 60_000 });
    const producer = createProducer(t.broker, jobs);
    const answer = new Deferred<number>();
    const worker = createConsumer(t.broker, jobs, (n) => answer.resolve(requester.request(n)), {
      concurrency: 4,
    });
    const work = async (n: number): Promise<number> => {
      if (n === 1) {
        await worker.start();
        await producer.send(2);
        // The request is stored, or refused, while this handler still runs.
        await Promise.race([answer.promise.catch(() => {}), t.untilCounted(queue.name, { ready: 1 })]);
      }
      return n;
    };
    const consumer = createConsumer(t.broker, queue, work, { prefetch: 1 });
    await consumer.start();
    expect(await requester.request(1)).toBe(1);
    expect(await answer.promise).toBe(2);
    await requester.close();
    await Promise.all([consumer.stop(), worker.stop()]);
  },

  'a handler holds the keys of its message, even if it changes the value': async (t) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(z.object({ key: z.string(), asks: z.string().optional() }));
    const requester = createRequester(t.broker, queue, { reply: z.string(), timeoutMs: 60_000 });
    const consumer = createConsumer(
      t.broker,
      queue,
      async (value): Promise<string> => {
        const { asks } = value;
        if (asks === undefined) return value.key;
        value.key = 'b';
        return requester.request({ key: asks });
      },
      { concurrency: 4, key: ({ key }) => key, retry: { delaysMs: [] } },
    );
    await consumer.start();
    expect(await requester.request({ key: 'a', asks: 'b' })).toBe('b');
    const error = await rejection(requester.request({ key: 'a', asks: 'a' }), 'REMOTE_ERROR');
    expect(error.remote?.code).toBe('DEADLOCK');
    await requester.close();
    await consumer.stop();
  },
};
