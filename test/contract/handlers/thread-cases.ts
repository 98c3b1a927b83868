import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';
import { expect } from 'vitest';
import { z } from 'zod';
import type { Around } from '../../../src/common/hooks/around.js';
import type { HandlerContext } from '../../../src/consumer/consumer.js';
import type { ConsumerOptions } from '../../../src/consumer/consumer-options.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { createRequester } from '../../../src/producer/requester.js';
import { EventLog } from '../../support/event-log.js';
import { rejection } from '../../support/rejection.js';
import type { ContractContext } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const HANDLER = new URL('threads/handler.mjs', import.meta.url);
const command = z.looseObject({ do: z.string() });
type Command = z.infer<typeof command>;

/** What the handler reports about itself. */
const told = z.object({ threadId: z.number(), attempt: z.number(), id: z.string(), tenant: z.string() });
const TENANT = { headers: { tenant: 'blue' } };

/** A thread that starts, for the first time or again, takes its time of the message that waits for it. */
const OFTEN = { delaysMs: Array.from({ length: 50 }, () => 0) };

/** A started consumer whose handlers run in threads, and a requester for it. */
async function threaded(
  t: ContractContext,
  options: ConsumerOptions & {
    readonly threads?: number;
    readonly terminateAfterMs?: number;
    readonly schema?: z.ZodType<Command, Command>;
  } = {},
) {
  const { threads = 1, terminateAfterMs = 50, schema = command, ...rest } = options;
  const queue = t.define(schema);
  const log = new EventLog();
  const consumer = createConsumer(
    t.broker,
    queue,
    { module: HANDLER, threads, terminateAfterMs },
    { retry: { delaysMs: [] }, observe: log.observe, ...rest },
  );
  await consumer.start();
  const requester = createRequester(t.broker, queue, { reply: z.unknown() });
  const close = async () => {
    await requester.close();
    await consumer.stop({ deadlineMs: 0 });
  };
  return { queue, log, consumer, requester, close, producer: createProducer(t.broker, queue) };
}

export const threadCases: Cases = {
  'a handler runs in a thread of its own, with the same context as others': async (t) => {
    const { requester, close } = await threaded(t);
    const answer = await requester.request({ do: 'tell' }, { id: 'A-1', ...TENANT });
    const { threadId: own, ...rest } = told.parse(answer);
    expect(own).not.toBe(threadId);
    expect(rest).toEqual({ attempt: 1, id: 'A-1', tenant: 'blue' });
    await close();
  },

  'as many handlers run at once as there are threads, and each returns its own result': async (t) => {
    const { requester, log, close } = await threaded(t, { threads: 3 });
    const numbers = Array.from({ length: 10 }, (_, n) => n);
    const squares = await Promise.all(numbers.map((n) => requester.request({ do: 'square', n })));
    expect(squares).toEqual(numbers.map((n) => n * n));
    await log.until('handled', 10);
    await close();
  },

  'an error that a handler throws in its thread counts as elsewhere': async (t) => {
    const { requester, producer, log, close } = await threaded(t, { retry: { delaysMs: [0] } });
    const error = await rejection(requester.request({ do: 'throw' }), 'REMOTE_ERROR');
    expect(error.remote).toEqual({ code: 'EFLOUR', message: 'out of flour' });
    expect(await log.until('retried')).toMatchObject([{ error: { code: 'EFLOUR' } }]);
    await producer.send({ do: 'reject' });
    await log.until('dead-lettered', 2);
    expect(log.of('dead-lettered').map(({ failure, attempt }) => [failure.code, attempt])).toEqual([
      ['failed', 2],
      ['rejected', 1],
    ]);
    await close();
  },

  'a handler in a thread can choose when its message is redelivered': async (t) => {
    const { producer, log, close } = await threaded(t, { retry: { delaysMs: [0] } });
    await producer.send({ do: 'choose' });
    expect(await log.allByAttempt(3)).toMatchObject([
      { type: 'postponed', attempt: 1, delayMs: 20, error: { name: 'Postpone', message: 'not yet' } },
      { type: 'retried', attempt: 1, delayMs: 30, failure: { error: 'the mill is busy' } },
      { type: 'dead-lettered', attempt: 2, failure: { code: 'rejected' } },
    ]);
    await close();
  },

  'a handler that blocks its thread does not block the main thread': async (t) => {
    const { queue, requester, close } = await threaded(t);
    const folder = await mkdtemp(join(tmpdir(), 'millrace-threads-'));
    try {
      const end = join(folder, 'end');
      const begun = new BroadcastChannel(queue.name);
      const told = once(begun, 'message');
      const spinning = requester.request({ do: 'spin until there is', end, tell: queue.name });
      // Both need turns of this thread's event loop, and the handler ends after them.
      await told;
      begun.close();
      await writeFile(end, '');
      expect(await spinning).toBe('spun');
    } finally {
      await rm(folder, { recursive: true });
    }
    await close();
  },

  'a thread that ends by itself is a failed attempt, and is replaced': async (t) => {
    const { producer, requester, log, close } = await threaded(t, { retry: { delaysMs: [0] } });
    await producer.sendMany([
      { do: 'exit', attempts: 1 },
      { do: 'crash', attempts: 1 },
    ]);
    await log.until('handled', 2);
    const failures = (await log.until('retried', 2)).map(({ failure }) => failure.error);
    expect(failures).toHaveLength(2);
    for (const text of failures) expect(text).toContain('thread has ended');
    expect(failures.join()).toContain('nobody catches this');
    expect(await requester.request({ do: 'square', n: 4 })).toBe(16);
    await close();
  },

  'the time limit reaches the thread as its signal': async (t) => {
    const { requester, producer, log, close } = await threaded(t, {
      handlerTimeoutMs: 300,
      terminateAfterMs: 60_000,
      retry: OFTEN,
    });
    const before = told.parse(await requester.request({ do: 'tell' }, TENANT));
    await producer.send({ do: 'wait for the signal', attempts: 1 });
    await log.until('handled', 2);
    expect((await log.until('retried')).at(-1)).toMatchObject({ error: { code: 'TIMEOUT' } });
    // The one thread there is was told, and is free again, without having to be ended.
    const after = told.parse(await requester.request({ do: 'tell' }, TENANT));
    expect(after.threadId).toBe(before.threadId);
    await close();
  },

  'a thread that runs on after the time limit is terminated and replaced, even if it never yields': async (
    t,
  ) => {
    const { requester, producer, log, close } = await threaded(t, {
      handlerTimeoutMs: 300,
      retry: OFTEN,
    });
    const before = told.parse(await requester.request({ do: 'tell' }, TENANT));
    await producer.send({ do: 'spin for ever', attempts: 1 });
    await log.until('handled', 2);
    expect((await log.until('retried')).at(-1)).toMatchObject({ error: { code: 'TIMEOUT' } });
    const after = told.parse(await requester.request({ do: 'tell' }, TENANT));
    expect(after.threadId).not.toBe(before.threadId);
    await close();
  },

  'a thread that takes the place of another one finishes loading its module, however short the time limit is':
    async (t) => {
      const queue = t.define(command);
      const log = new EventLog();
      const consumer = createConsumer(
        t.broker,
        queue,
        { module: new URL('threads/slow-to-load.mjs', import.meta.url), threads: 1, terminateAfterMs: 10 },
        { handlerTimeoutMs: 100, retry: OFTEN, observe: log.observe },
      );
      await consumer.start();
      await createProducer(t.broker, queue).send({ do: 'spin once' });
      await log.until('handled');
      expect((await log.until('retried')).at(0)).toMatchObject({ error: { code: 'TIMEOUT' } });
      await consumer.stop();
    },

  'stop terminates a thread that exceeds its deadline, and the message is redelivered': async (t) => {
    const { queue, consumer, producer, requester } = await threaded(t);
    const begun = new BroadcastChannel(queue.name);
    const told = once(begun, 'message');
    await producer.send({ do: 'spin for ever', tell: queue.name });
    await told;
    begun.close();
    expect(await consumer.stop({ deadlineMs: 100 })).toEqual({ unfinished: 1 });
    const delivery = await (await t.inbox(queue.name)).next();
    expect(delivery).toMatchObject({ redelivered: true });
    delivery.ack();
    await requester.close();
  },

  "a value that can't be cloned for a thread makes its message a dead letter at once, and says so": async (
    t,
  ) => {
    const schema = command.transform((value) => (value.do === 'carry' ? { ...value, callback() {} } : value));
    const { producer, requester, log, close } = await threaded(t, { retry: OFTEN, schema });
    await producer.send({ do: 'carry' });
    const [dead] = await log.until('dead-lettered');
    expect(dead).toMatchObject({ attempt: 1, failure: { code: 'rejected' } });
    expect(dead?.failure.error).toMatch(/^its value can't be passed to the handler's thread, .*callback/);
    expect(await requester.request({ do: 'square', n: 5 })).toBe(25);
    await close();
  },

  'a reply from a thread is the same JSON as elsewhere, and one that has no JSON fails without another attempt':
    async (t) => {
      const { requester, log, close } = await threaded(t, { retry: OFTEN });
      const instance = { value: { amount: '1.50' }, bytes: { type: 'Buffer', data: [7] } };
      expect(await requester.request({ do: 'return instances' })).toEqual(instance);
      const error = await rejection(requester.request({ do: 'return a function' }), 'REMOTE_ERROR');
      expect(error.remote).toMatchObject({ code: 'INVALID_MESSAGE' });
      expect(error.remote?.message).toContain('type function');
      await log.until('handled', 2);
      expect(log.of('retried')).toEqual([]);
      await close();
    },

  'a function around a handler in a thread gets the reply as its requester does': async (t) => {
    const replies: unknown[] = [];
    const keeping: Around<HandlerContext> = async (next) => {
      const reply = await next();
      replies.push(reply);
      return reply;
    };
    const { requester, close } = await threaded(t, { around: [keeping] });
    const reply = await requester.request({ do: 'return instances' });
    expect(replies).toEqual([reply]);
    await close();
  },

  'in a thread, too, a RejectMessage is recognized by its mark, not by its class or name': async (t) => {
    const { producer, log, close } = await threaded(t, { retry: { delaysMs: [0] } });
    await producer.send({ do: 'reject as another copy' });
    await producer.send({ do: 'throw what is named so' });
    const dead = await log.until('dead-lettered', 2);
    expect(dead.map(({ failure: { code }, attempt }) => `${code} ${attempt}`).sort()).toEqual([
      'failed 2',
      'rejected 1',
    ]);
    await close();
  },

  'start loads the module, and rejects if there is no handler in it': async (t) => {
    const modules: readonly [URL, string][] = [
      [new URL('threads/no-such-module.mjs', import.meta.url), 'no-such-module.mjs'],
      [new URL('threads/no-handler.mjs', import.meta.url), 'default export'],
      [new URL('threads/no-handler.d.ts', import.meta.url), 'no-handler.d.ts'],
      [new URL('data:text/javascript,export default ('), 'data:text/javascript'],
      [new URL('data:text/javascript,import "no-such-package"; export default () => {}'), 'no-such-package'],
      [new URL('data:text/javascript,process.exit(); export default () => {}'), 'exited'],
      [
        new URL('data:text/javascript,throw new Error("no database"); export default () => {}'),
        'no database',
      ],
      [new URL('data:text/javascript,export default undefined'), 'default export'],
    ];
    for (const [module, text] of modules) {
      const queue = t.define(command);
      const consumer = createConsumer(t.broker, queue, { module, threads: 1 });
      const error = await rejection(consumer.start(), 'INVALID_OPTION');
      expect(error.message).toContain(text);
      expect(consumer.state).toBe('stopped');
      await consumer.ended;
      // Nothing was declared for it.
      await rejection(t.broker.inspect(queue.name), 'QUEUE_MISSING');
    }
  },

  'a module that never finishes loading is bounded by the time limit of start': async (t) => {
    const module = new URL('data:text/javascript,await new Promise(() => { setInterval(() => {}, 1000) })');
    const consumer = createConsumer(t.broker, t.define(command), { module, threads: 1 });
    await rejection(consumer.start({ timeoutMs: 500 }), 'TIMEOUT');
    expect(consumer.state).toBe('stopped');
    const stopped = createConsumer(t.broker, t.define(command), { module, threads: 1 });
    const starting = rejection(stopped.start(), 'CLOSED');
    await stopped.stop();
    await starting;
  },

  'the handler of a CommonJS module that was compiled from `export default` is found': async (t) => {
    const queue = t.define(command);
    const module = new URL('threads/compiled.cjs', import.meta.url);
    const consumer = createConsumer(t.broker, queue, { module, threads: 1 });
    await consumer.start();
    const requester = createRequester(t.broker, queue, { reply: z.unknown() });
    expect(await requester.request({ do: 'square', n: 5 })).toBe(25);
    await requester.close();
    await consumer.stop();
  },
};
