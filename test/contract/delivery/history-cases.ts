import { hostname } from 'node:os';
import { expect } from 'vitest';
import { z } from 'zod';
import type { HeaderValue } from '../../../src/broker.js';
import type { AttemptFailure } from '../../../src/common/message/failure-headers.js';
import { headersBytes, MAX_HEADERS_BYTES } from '../../../src/common/message/headers.js';
import type { Handler } from '../../../src/consumer/consumer.js';
import type { ConsumerOptions } from '../../../src/consumer/consumer-options.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import type { ThreadedHandler } from '../../../src/consumer/handler-threads.js';
import { receive } from '../../../src/consumer/receive.js';
import type { DeadLetter } from '../../../src/dead-letters/dead-letter.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { Postpone, RejectMessage } from '../../../src/errors.js';
import { moveMessages } from '../../../src/operations/move.js';
import { createProducer } from '../../../src/producer/producer.js';
import type { Queue } from '../../../src/queue.js';
import { EventLog } from '../../support/event-log.js';
import { addressOf, type ContractContext, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** Handles the messages of the queue until so many are dead, and returns these by their ids. */
async function untilDead(
  t: ContractContext,
  queue: Queue<unknown>,
  handler: Handler<unknown> | ThreadedHandler,
  { count = 1, ...options }: ConsumerOptions & { readonly count?: number } = {},
): Promise<ReadonlyMap<string, DeadLetter>> {
  const log = new EventLog();
  const all = { retry: { delaysMs: [0, 0] }, ...options, observe: log.observe };
  const consumer =
    typeof handler === 'function'
      ? createConsumer(t.broker, queue, handler, all)
      : createConsumer(t.broker, queue, handler, all);
  await consumer.start();
  await log.until('dead-lettered', count);
  await consumer.stop();
  const { deadLetters: found } = await deadLetters(t.broker, queue.name).list();
  return new Map(found.map((letter) => [letter.id, letter]));
}

const here = (attempt: number, error: string): AttemptFailure => ({
  attempt,
  error,
  at: expect.any(String),
  host: hostname().slice(0, 64),
  pid: process.pid,
});

const fail: Handler<unknown> = (_value, { attempt }) => {
  throw new Error(`failure ${attempt}`);
};

/** What the toolkit adds to the headers of a message whose failures left no room for more. */
const withoutToolkits = (headers: Readonly<Record<string, HeaderValue>>) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('x-millrace-')));

const RUBBISH: Readonly<Record<string, HeaderValue>> = {
  text: 'not JSON',
  long: 'x'.repeat(60_000),
  zeros: `[${'0,'.repeat(8000)}0]`,
  list: Array.from({ length: 2000 }, () => 0),
  table: { attempt: 1 },
  number: 7,
  polluting: '[{"__proto__":{"attempt":1,"at":"2026-01-31T09:14:03.000Z","error":"no"}}]',
  undated: '[{"attempt":1,"at":"NaN","error":"no"}]',
  'out of range': '[{"attempt":-1,"at":"2026-01-31T09:14:03.000Z","error":"no"}]',
  'all but one': '[{"attempt":1,"at":"2026-01-31T09:14:03.000Z","error":"no"},null]',
  nested: '['.repeat(15_000),
};

export const historyCases: Cases = {
  'a dead letter says when, where and why each attempt failed, and has the last stack': async (t) => {
    const queue = t.define(z.unknown());
    const before = Date.now();
    const { id } = await createProducer(t.broker, queue).send('x', { headers: { tenant: 'blue' } });
    const letters = await untilDead(t, queue, (_value, { attempt }) => {
      const cause = new TypeError(`no route to host ${attempt}`);
      throw Object.assign(new Error(`failure ${attempt}`, { cause }), { password: 's3cret' });
    });
    const { failures = [], stack, message: dead } = letters.get(id) ?? {};
    expect(failures).toEqual([here(1, 'failure 1'), here(2, 'failure 2'), here(3, 'failure 3')]);
    for (const { at } of failures) expect(Date.parse(at)).toBeGreaterThanOrEqual(before);
    expect(stack).toMatch(/^Error: failure 3\n {4}at /);
    expect(stack).toMatch(/\n {2}\[cause\]: TypeError: no route to host 3\n {6}at /);
    expect(JSON.stringify(dead?.headers)).not.toContain('s3cret');
    await deadLetters(t.broker, queue.name).replay();
    const inbox = await t.inbox(queue.spec);
    const { headers } = (await inbox.next()).message;
    expect(headers).toMatchObject({ tenant: 'blue' });
    expect(Object.keys(headers)).not.toContain('x-millrace-failures');
    expect(Object.keys(headers)).not.toContain('x-millrace-stack');
  },

  'a message that was postponed, and then rejected, has its failures; moving it keeps them': async (t) => {
    const queue = t.define(z.unknown());
    const { id } = await createProducer(t.broker, queue).send('x');
    await untilDead(t, queue, (_value, { attempt, headers }) => {
      if (attempt === 1) throw new Error('not there');
      if (headers['x-millrace-postpones'] === undefined) throw new Postpone(0, 'not yet');
      throw new RejectMessage('never');
    });
    const other = await t.declare({ deadLetter: false });
    await moveMessages(t.broker, `${queue.name}.dead`, other.name);
    const { deadLetters: moved } = await deadLetters(t.broker, queue.name, { queue: other.name }).list();
    expect(moved).toMatchObject([{ id, reason: 'rejected', error: 'never', firstError: 'not there' }]);
    expect(moved[0]?.failures).toEqual([here(1, 'not there'), here(2, 'never')]);
    expect(moved[0]?.stack).toMatch(/^RejectMessage: never\n {4}at /);
  },

  'an error that was thrown in a thread has the stack of that thread, and of its cause': async (t) => {
    const queue = t.define(z.unknown());
    const { id } = await createProducer(t.broker, queue).send({ do: 'throw with a cause' });
    const module = new URL('../handlers/threads/handler.mjs', import.meta.url);
    const letters = await untilDead(t, queue, { module, threads: 1 });
    const { failures, stack } = letters.get(id) ?? {};
    expect(failures).toEqual([1, 2, 3].map((attempt) => here(attempt, 'out of flour')));
    expect(stack).toMatch(/^Error: out of flour\n.*handler\.mjs/);
    expect(stack).toMatch(/\n {2}\[cause\]: RangeError: no mill\n.*handler\.mjs/);
  },

  'a loop tells why, too': async (t) => {
    const queue = t.define(z.unknown());
    const { id } = await createProducer(t.broker, queue).send('x');
    for await (const received of receive(t.broker, queue)) {
      if (received.attempt === 1) await received.retry(0, new Error('later'));
      else await received.deadLetter(new Error('never'));
      if (received.attempt === 2) break;
    }
    const { deadLetters: letters } = await deadLetters(t.broker, queue.name).list();
    expect(letters).toMatchObject([{ id, failures: [here(1, 'later'), here(2, 'never')] }]);
    expect(letters[0]?.stack).toMatch(/^Error: never\n {4}at /);
  },

  'without errorStacks, and without an error, there is no stack': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x', { id: 'failed' });
    const invalid = message({ id: 'invalid', body: '7', contentType: 'application/json' });
    await t.broker.publish(addressOf(queue.spec), invalid);
    const letters = await untilDead(t, queue as Queue<unknown>, fail, { errorStacks: false, count: 2 });
    expect(letters.get('failed')?.failures).toHaveLength(3);
    expect(letters.get('invalid')?.failures).toMatchObject([{ attempt: 1 }]);
    expect([...letters.values()].map(({ stack }) => stack)).toEqual([undefined, undefined]);
    const slow = t.define(z.unknown());
    await createProducer(t.broker, slow).send('x', { id: 'slow' });
    const hang = () => new Promise(() => {});
    const late = await untilDead(t, slow, hang, { handlerTimeoutMs: 5, retry: { delaysMs: [] } });
    expect(late.get('slow')).toMatchObject({ failures: [{ attempt: 1 }], stack: undefined });
  },

  'of many attempts, the first and the last nine are kept': async (t) => {
    const queue = t.define(z.unknown());
    const { id } = await createProducer(t.broker, queue).send('x');
    const delaysMs = Array.from({ length: 13 }, () => 0);
    const letters = await untilDead(t, queue, fail, { retry: { delaysMs } });
    const kept = [1, 6, 7, 8, 9, 10, 11, 12, 13, 14];
    expect(letters.get(id)?.failures).toEqual(kept.map((attempt) => here(attempt, `failure ${attempt}`)));
  },

  "the sender's headers come first: the stack and then the failures give way to them": async (t) => {
    const queue = t.define(z.unknown());
    const producer = createProducer(t.broker, queue);
    const room = { 'for the failures': 1200, 'for neither': 350 };
    const headers = new Map<string, Record<string, string>>();
    for (const [id, bytes] of Object.entries(room)) {
      const fill = 'x'.repeat(MAX_HEADERS_BYTES - bytes - headersBytes({ fill: '' }));
      headers.set(id, { fill });
      await producer.send('x', { id, headers: { fill } });
    }
    const throwLong = () => {
      const error = new Error('no');
      error.stack = `Error: no\n${'    at somewhere\n'.repeat(100)}`;
      throw error;
    };
    const letters = await untilDead(t, queue, throwLong, { count: 2, retry: { delaysMs: [0] } });
    for (const [id, fill] of headers) {
      const letter = letters.get(id);
      expect(letter).toMatchObject({ reason: 'failed', error: 'no', attempts: 2, stack: undefined });
      expect(withoutToolkits(letter?.message.headers ?? {})).toEqual(fill);
    }
    expect(letters.get('for the failures')?.failures).toEqual([here(1, 'no'), here(2, 'no')]);
    expect(letters.get('for neither')?.failures).toEqual([]);
  },

  'a message with a history that the toolkit did not write is retried, and its history begins anew': async (
    t,
  ) => {
    const queue = t.define(z.unknown());
    await t.broker.declare(queue.spec);
    for (const [id, value] of Object.entries(RUBBISH)) {
      const headers = { 'x-millrace-failures': value };
      await t.broker.publish(addressOf(queue.spec), message({ id, headers, body: '1', contentType: '' }));
    }
    const stack = { 'x-millrace-stack': ['no stack'] };
    await t.broker.publish(addressOf(queue.spec), message({ id: 'stack', headers: stack, body: '1' }));
    const ids = [...Object.keys(RUBBISH), 'stack'];
    const letters = await untilDead(t, queue, fail, {
      count: ids.length,
      retry: { delaysMs: [0] },
      errorStacks: false,
    });
    for (const id of ids) {
      expect(letters.get(id), id).toMatchObject({ error: 'failure 2', stack: undefined });
      expect(letters.get(id)?.failures, id).toEqual([here(1, 'failure 1'), here(2, 'failure 2')]);
    }
  },

  'a dead letter of an earlier version, or with the history of a stranger, is read all the same': async (
    t,
  ) => {
    const queue = await t.declare();
    const old = { 'x-millrace-reason': 'failed', 'x-millrace-error': 'no', 'x-millrace-attempts': '4' };
    const dead = addressOf(`${queue.name}.dead`);
    await t.broker.publish(dead, message({ id: 'old', headers: old }));
    for (const [id, value] of Object.entries(RUBBISH)) {
      const headers = { ...old, 'x-millrace-failures': value, 'x-millrace-stack': 7 };
      await t.broker.publish(dead, message({ id, headers }));
    }
    await t.broker.publish(
      dead,
      message({ id: 'huge', headers: { ...old, 'x-millrace-stack': 'ü'.repeat(30_000) } }),
    );
    const { deadLetters: letters } = await deadLetters(t.broker, queue.name).list();
    expect(letters).toHaveLength(Object.keys(RUBBISH).length + 2);
    for (const { id, error, attempts, failures, stack } of letters) {
      expect([id, error, attempts, failures]).toEqual([id, 'no', 4, []]);
      if (id === 'huge') expect(Buffer.byteLength(stack ?? '')).toBeLessThanOrEqual(4096);
      else expect(stack).toBeUndefined();
    }
    expect({}).not.toHaveProperty('attempt');
  },
};
