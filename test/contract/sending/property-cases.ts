import fc from 'fast-check';
import { expect } from 'vitest';
import { z } from 'zod';
import type { HeaderValue, MessageHeaders } from '../../../src/broker.js';
import type { HandlerContext } from '../../../src/consumer/consumer.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { createProducer } from '../../../src/producer/producer.js';
import { eventually } from '../../support/eventually.js';
import { recordWarnings } from '../../support/warnings.js';
import { addressOf, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';
import type { BrokerSubject } from '../subject.js';

const typedHeaders: MessageHeaders = {
  text: 'blue',
  integer: -5,
  long: 5_000_000_000,
  double: 0.1,
  large: 1e300,
  big: 9_007_199_254_740_993n,
  least: -(2n ** 63n),
  yes: true,
  nothing: null,
  at: new Date('2026-01-31T12:00:00Z'),
  bytes: Uint8Array.of(0, 255, 7),
  list: ['a', 1, [null, false], { inner: new Date(0) }],
  table: { name: 'x', $date: 'no date', deep: { $bytes: 'no bytes' } },
  empty: {},
  none: [],
};

/** Without what the backend itself puts there for every message. */
function sendersOf(headers: MessageHeaders): MessageHeaders {
  const isSenders = ([name]: [string, unknown]) => !/^x-(millrace-|acquired-count)/.test(name);
  return Object.fromEntries(Object.entries(headers).filter(isSenders));
}

const headerValue = fc.letrec<{ value: HeaderValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed()),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.boolean(),
    fc.constant(null),
    fc.nat({ max: 2_000_000_000 }).map((seconds) => new Date(seconds * 1000)),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('a', 'ü', '$date', '$int64', 'toString', ''), tie('value'), {
      noNullPrototype: true,
    }),
  ),
})).value;

/** What arrives: integers are numbers where a number holds them, and zero has no sign. */
function arrived(value: HeaderValue, subject: BrokerSubject): HeaderValue {
  if (typeof value === 'bigint') {
    return subject.losesDigits || Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  if (value === 0) return 0;
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((each) => arrived(each, subject));
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, arrived(each, subject)]));
}

/** What a message carries besides its value, on every backend. */
export const propertyCases: Cases = {
  'a message arrives with type, app, user-made encoding and expiry, and a handler sees them': async (t) => {
    const queue = t.define(z.string());
    const contexts: HandlerContext[] = [];
    const consumer = createConsumer(t.broker, queue, (_, context) => void contexts.push(context));
    await consumer.start();
    const before = Date.now();
    await createProducer(t.broker, queue).send('x', {
      type: 'order.placed',
      appId: 'shop',
      contentEncoding: 'utf-8',
      persistent: false,
      expiresInMs: 60_000,
    });
    await eventually(() => contexts.length === 1);
    expect(contexts[0]).toMatchObject({ type: 'order.placed', appId: 'shop' });
    expect(contexts[0]?.expiresAt).toBeGreaterThanOrEqual(before + 60_000);
    expect(contexts[0]?.expiresAt).toBeLessThanOrEqual(Date.now() + 60_000);
    await createProducer(t.broker, queue).send('y');
    await eventually(() => contexts.length === 2);
    expect(contexts[1]).toMatchObject({ type: undefined, appId: undefined, expiresAt: undefined });
    await consumer.stop();
  },

  'properties stay through a retry, a dead letter and its replay': async (t) => {
    const queue = t.define(z.string());
    const properties = { type: 'order.placed', appId: 'shop', persistent: false, contentEncoding: 'utf-8' };
    const expiresInMs = 3_600_000;
    const options = { ...properties, expiresInMs, headers: typedHeaders };
    const { id } = await createProducer(t.broker, queue).send('x', options);
    const inbox = await t.inbox(queue.name);
    const first = await inbox.next();
    const { expiresAt } = first.message;
    expect(first.message).toMatchObject({ id, ...properties });
    await first.retry(1, { code: 'failed', error: 'again' });
    const second = await inbox.next();
    expect(second.message).toMatchObject({ id, ...properties, expiresAt });
    expect(sendersOf(second.message.headers)).toEqual(arrived(typedHeaders, t.subject));
    await second.deadLetter({ code: 'rejected', error: 'no' });
    const dead = deadLetters(t.broker, queue);
    const list = await eventually(async () => {
      const { deadLetters } = await dead.list();
      return deadLetters.length > 0 && deadLetters;
    });
    expect(list).toMatchObject([{ id, message: { ...properties, expiresAt: undefined } }]);
    expect(sendersOf(list[0]?.message.headers ?? {})).toEqual(arrived(typedHeaders, t.subject));
    expect(await dead.replay()).toMatchObject({ replayed: 1 });
    const replayed = await inbox.next();
    expect(replayed.message).toMatchObject({ id, ...properties, expiresAt: undefined });
    expect(sendersOf(replayed.message.headers)).toEqual(arrived(typedHeaders, t.subject));
    replayed.ack();
  },

  'header values arrive with their types, whatever they are': async (t) => {
    const queue = await t.declare();
    const inbox = await t.inbox(queue);
    const property = fc.asyncProperty(
      fc.dictionary(fc.constantFrom('a', 'ü', 'length', 'toString', '$date'), headerValue, {
        noNullPrototype: true,
      }),
      async (headers) => {
        await t.broker.publish(addressOf(queue), message({ headers }));
        const delivery = await inbox.next();
        expect(sendersOf(delivery.message.headers)).toEqual(arrived(headers, t.subject));
        delivery.ack();
      },
    );
    await fc.assert(property, { numRuns: Math.min(200, t.subject.propertyRuns * 4) });
  },

  'changes that a handler makes to a header do not reach the next attempt': async (t) => {
    recordWarnings('MILLRACE_ATTEMPT_FAILED');
    const queue = t.define(z.string());
    const seen: unknown[] = [];
    const consumer = createConsumer(
      t.broker,
      queue,
      (_, { headers, attempt }) => {
        const { bytes, list } = headers as { bytes: Uint8Array; list: number[] };
        seen.push([...bytes], [...list]);
        bytes[0] = 9;
        list.push(9);
        if (attempt === 1) throw new Error('again');
      },
      { retry: { delaysMs: [0] } },
    );
    await consumer.start();
    await createProducer(t.broker, queue).send('x', { headers: { bytes: Uint8Array.of(1), list: [2] } });
    await eventually(() => consumer.counts.handled === 1);
    expect(seen).toEqual([[1], [2], [1], [2]]);
    await consumer.stop();
  },
};
