import { expect } from 'vitest';
import { z } from 'zod';
import type { Backend, Message, MessageHeaders } from '../../../src/broker.js';
import type { Codec } from '../../../src/common/encoding/codec.js';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import type { ConsumerOptions } from '../../../src/consumer/consumer-options.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { createProducer } from '../../../src/producer/producer.js';
import type { Queue } from '../../../src/queue.js';
import { EventLog } from '../../support/event-log.js';
import { forwardTo } from '../../support/forward-broker.js';
import { rejection } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';
import { addressOf, type ContractContext, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const unicode = 'Grüße, 世界, 👩‍👩‍👧, \u0000, \uFEFF, \u2028';

/** The values that a consumer of `queue` hands to its handler, once it has settled `count` messages. */
async function handledValues<Out>(
  t: ContractContext,
  queue: Queue<never, Out>,
  count: number,
): Promise<Out[]> {
  const values: Out[] = [];
  const log = new EventLog();
  const handler = (value: Out) => {
    values.push(value);
  };
  const consumer = createConsumer(t.broker, queue, handler, { observe: log.observe });
  await consumer.start();
  await log.until('handled', count);
  await consumer.stop();
  return values;
}

/** Publishes past the producer, as another tool would. */
async function publishRaw(
  t: ContractContext,
  queue: Queue<never, unknown>,
  parts: Partial<Message>,
): Promise<void> {
  await t.broker.declare(queue.spec);
  await t.broker.publish(addressOf(queue.name), message(parts));
}

/** What became of messages that must never reach a handler: the reasons of the dead letters. */
async function reasons(
  t: ContractContext,
  queue: Queue<never, unknown>,
  count: number,
  options: ConsumerOptions = {},
): Promise<unknown[]> {
  const seen: unknown[] = [];
  const log = new EventLog();
  const consumer = createConsumer(t.broker, queue, (value) => seen.push(value), {
    ...options,
    observe: log.observe,
  });
  await consumer.start();
  await log.until('dead-lettered', count);
  await consumer.stop();
  expect(seen).toEqual([]);
  expect(log.of('retried')).toEqual([]);
  const dead = await (await t.inbox(`${queue.name}.dead`)).take(count);
  return dead.map((delivery) => {
    const history = deadLetterHistory(delivery.message.headers);
    expect(history).toMatchObject({ attempts: 1, queue: queue.name, error: expect.stringMatching(/./) });
    return history?.reason;
  });
}

/** The same broker under another limit, as a process with other settings would see it. */
function withLimit(broker: Backend, maxMessageBytes: number): Backend {
  return forwardTo(broker, { maxMessageBytes });
}

export const valueCases: Cases = {
  'JSON values of every kind arrive as they were sent': async (t) => {
    const queue = t.define(z.unknown());
    let deep: unknown = 'bottom';
    for (let level = 0; level < 200; level++) deep = level % 2 === 0 ? [deep] : { deeper: deep };
    const values = [null, true, 0, -1.5, '', unicode, [], {}, { a: [1, { b: null }] }, { '': unicode }, deep];
    await createProducer(t.broker, queue).sendMany(values);
    expect(await handledValues(t, queue, values.length)).toEqual(values);
  },

  "values that JSON has no form for arrive as they were sent, with the codec 'structured'": async (t) => {
    const schema = z.object({
      at: z.date(),
      sums: z.map(z.string(), z.bigint()),
      tags: z.set(z.string()),
      raw: z.instanceof(Uint8Array),
      list: z.array(z.union([z.number(), z.nan(), z.undefined(), z.literal(Number.POSITIVE_INFINITY)])),
    });
    const queue = t.define(schema, { codec: 'structured' });
    const value = {
      at: new Date('2026-12-01T03:00:00Z'),
      sums: new Map([['x', 2n ** 64n]]),
      tags: new Set([unicode]),
      raw: Uint8Array.from({ length: 256 }, (_, byte) => byte),
      list: [1, undefined, Number.NaN, Number.POSITIVE_INFINITY],
    };
    await createProducer(t.broker, queue).send(value);
    const raw = await t.inbox(queue.name);
    expect((await raw.next()).message.contentType).toBe('application/vnd.millrace.structured.v1+json');
    await raw.subscription.close();
    expect(await handledValues(t, queue, 1)).toStrictEqual([value]);
  },

  'a structured value that was a dead letter arrives unchanged when it is replayed': async (t) => {
    const queue = t.define(z.object({ at: z.date() }), { codec: 'structured' });
    const value = { at: new Date(5) };
    await createProducer(t.broker, queue).send(value);
    const log = new EventLog();
    const failing = () => Promise.reject(new Error('on purpose'));
    const consumer = createConsumer(t.broker, queue, failing, {
      retry: { delaysMs: [] },
      observe: log.observe,
    });
    await consumer.start();
    await log.until('dead-lettered');
    await consumer.stop();
    expect(await deadLetters(t.broker, queue).replay()).toMatchObject({ replayed: 1 });
    expect(await handledValues(t, queue, 1)).toStrictEqual([value]);
  },

  'hostile bodies of the structured codec are dead letters at once': async (t) => {
    const queue = t.define(z.unknown(), { codec: 'structured' });
    const bodies = [
      '{"$function":"process.exit()"}',
      '{"$date":"never"}',
      '{"$object":{"__proto__":{"admin":true}}}',
      `${'{"$set":['.repeat(5000)}${']}'.repeat(5000)}`,
      Buffer.of(0xff, 0x0f),
    ];
    const contentType = 'application/vnd.millrace.structured.v1+json';
    for (const body of bodies) await publishRaw(t, queue, { contentType, body });
    await publishRaw(t, queue, { contentType: 'application/vnd.millrace.structured.v9+json', body: '{}' });
    expect(await reasons(t, queue, 6)).toEqual(Array(6).fill('undecodable'));
    expect({}).not.toHaveProperty('admin');
  },

  'text is sent as it is': async (t) => {
    const queue = t.define(z.string(), { codec: 'text' });
    const values = ['Hello World!', '', '"quoted"', unicode, 'two\r\nlines'];
    await createProducer(t.broker, queue).sendMany(values);
    const raw = await t.inbox(queue.name);
    const first = await raw.next();
    expect(first.message.contentType).toBe('text/plain');
    expect(Buffer.from(first.message.body).toString()).toBe('Hello World!');
    await raw.subscription.close();
    expect((await handledValues(t, queue, values.length)).sort()).toEqual([...values].sort());
  },

  'bytes are sent as they are': async (t) => {
    const queue = t.define(z.instanceof(Uint8Array), { codec: 'bytes' });
    const everyByte = Uint8Array.from({ length: 256 }, (_, value) => value);
    await createProducer(t.broker, queue).sendMany([everyByte, new Uint8Array()]);
    const values = await handledValues(t, queue, 2);
    expect(values.map((value) => [...value])).toEqual([[...everyByte], []]);
  },

  'a buffer that is reused after each call of send is sent as it was, from the first call on': async (t) => {
    const queue = t.define(z.instanceof(Uint8Array), { codec: 'bytes' });
    const producer = createProducer(t.broker, queue);
    const buffer = Buffer.alloc(1);
    const sends = [1, 2, 3].map((value) => producer.send(buffer.fill(value)));
    await Promise.all(sends);
    const values = await handledValues(t, queue, 3);
    expect(values.map(([byte]) => byte)).toEqual([1, 2, 3]);
  },

  'a custom codec encodes and decodes': async (t) => {
    const csv: Codec = {
      contentType: 'text/csv',
      encode: (value) => (value as string[]).join(';'),
      decode: (body) => Buffer.from(body).toString().split(';'),
    };
    const queue = t.define(z.array(z.string()), { codec: csv });
    await createProducer(t.broker, queue).send(['a', 'ü', '']);
    expect(await handledValues(t, queue, 1)).toEqual([['a', 'ü', '']]);
  },

  'a received message is decoded by its content type, if that is a known one': async (t) => {
    const queue = t.define(z.string());
    await publishRaw(t, queue, { contentType: 'text/plain; charset=utf-8', body: '"text"' });
    await publishRaw(t, queue, { contentType: 'Application/JSON', body: '"json"' });
    await publishRaw(t, queue, { contentType: 'application/x-unknown', body: '"as the queue does"' });
    expect(await handledValues(t, queue, 3)).toEqual(['"text"', 'json', 'as the queue does']);
  },

  "a message without a content type is decoded by the queue's codec": async (t) => {
    const queue = t.define(z.string(), { codec: 'text' });
    await publishRaw(t, queue, { contentType: '', body: 'Hello from a tutorial' });
    await publishRaw(t, queue, { contentType: '', body: Buffer.from('Hello in bytes') });
    expect(await handledValues(t, queue, 2)).toEqual(['Hello from a tutorial', 'Hello in bytes']);
  },

  'bytes that do not decode are dead letters at once and reach no handler': async (t) => {
    const queue = t.define(z.unknown());
    const bodies = ['', '{', 'Hello', Buffer.of(0x22, 0xff, 0x22), Buffer.of(0, 1, 2)];
    for (const body of bodies) await publishRaw(t, queue, { contentType: 'application/json', body });
    await publishRaw(t, queue, { contentType: 'text/plain', body: Buffer.of(0xc3, 0x28) });
    expect(await reasons(t, queue, 6)).toEqual(Array(6).fill('undecodable'));
  },

  'values with keys that poison prototypes are dead letters': async (t) => {
    const queue = t.define(z.unknown());
    for (const body of ['{"__proto__":{"admin":true}}', '{"a":[{"constructor":{"prototype":{}}}]}']) {
      await publishRaw(t, queue, { contentType: 'application/json', body });
    }
    expect(await reasons(t, queue, 2)).toEqual(['undecodable', 'undecodable']);
    expect({}).not.toHaveProperty('admin');
  },

  'values that fail the schema are dead letters at once and reach no handler': async (t) => {
    const queue = t.define(z.object({ total: z.number() }));
    for (const body of ['{"total":"5"}', '{}', 'null', '[]']) {
      await publishRaw(t, queue, { contentType: 'application/json', body });
    }
    expect(await reasons(t, queue, 4)).toEqual(Array(4).fill('invalid'));
  },

  'nesting too deep for its schema to follow is a dead letter': async (t) => {
    const queue = t.define(z.json());
    const depth = 100_000;
    const body = `${'['.repeat(depth)}${']'.repeat(depth)}`;
    await publishRaw(t, queue, { contentType: 'application/json', body });
    expect(await reasons(t, queue, 1)).toEqual(['invalid']);
  },

  'a codec or a schema that throws an unprintable value fails only its message': async (t) => {
    const hostile = Object.defineProperty(new Error('never seen'), 'message', {
      get() {
        throw new Error('not printable');
      },
    });
    const fails = (): never => {
      throw hostile;
    };
    const codec = { contentType: 'text/x-hostile', encode: () => 'x', decode: fails };
    const undecodable = t.define(z.unknown(), { codec });
    await publishRaw(t, undecodable, { contentType: 'text/x-hostile' });
    expect(await reasons(t, undecodable, 1)).toEqual(['undecodable']);
    const failing = t.define(z.unknown().transform(fails));
    await publishRaw(t, failing, { contentType: 'application/json', body: '1' });
    expect(await reasons(t, failing, 1, { retry: { delaysMs: [] } })).toEqual(['failed']);
  },

  'headers that mean something to a broker or to JavaScript are refused, by name': async (t) => {
    const queue = await t.declare();
    const producer = createProducer(t.broker, t.define(z.number()));
    for (const name of ['CC', 'BCC', '__proto__']) {
      for (const value of ['elsewhere', ['elsewhere'], { a: 1 }, null]) {
        const headers = Object.fromEntries([
          ['tenant', 'blue'],
          [name, value],
        ]) as MessageHeaders;
        const publishing = t.broker.publish(addressOf(queue), message({ headers }));
        expect((await rejection(publishing, 'INVALID_MESSAGE')).message).toContain(name);
        expect((await rejection(producer.send(1, { headers }), 'INVALID_OPTION')).message).toContain(name);
      }
    }
    expect(await t.ready(queue)).toBe(0);
  },

  'headers called like members of all objects, or in another case, are headers like others': async (t) => {
    const queue = await t.declare();
    const headers = {
      constructor: 'c',
      toString: 't',
      hasOwnProperty: 'h',
      cc: 'x',
      Bcc: 'y',
      table: { CC: 'z' },
    };
    await t.broker.publish(addressOf(queue), message({ headers: headers as MessageHeaders }));
    const inbox = await t.inbox(queue);
    const received = (await inbox.next()).message.headers;
    expect(received).toMatchObject(headers);
    for (const name of Object.keys(headers)) expect(Object.hasOwn(received, name)).toBe(true);
    await inbox.subscription.close();
  },

  'a message over the size limit becomes a dead letter unparsed, and keeps its body': async (t) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(z.string());
    await publishRaw(t, queue, { contentType: 'application/json', body: `"${'x'.repeat(500)}"` });
    const consumer = createConsumer(withLimit(t.broker, 100), queue, () => {
      throw new Error('reached the handler');
    });
    await consumer.start();
    const dead = await (await t.inbox(`${queue.name}.dead`)).next();
    expect(deadLetterHistory(dead.message.headers)).toMatchObject({ reason: 'too-large', attempts: 1 });
    expect(dead.message.body).toHaveLength(502);
    await consumer.stop();
  },

  'a poison message does not hold up those behind it': async (t) => {
    const queue = t.define(z.number());
    for (const body of ['{', '1', '"x"', '2']) {
      await publishRaw(t, queue, { contentType: 'application/json', body });
    }
    expect(await handledValues(t, queue, 2)).toEqual([1, 2]);
  },

  'a schema may be asynchronous, on both sides': async (t) => {
    const even = z.number().refine(async (value) => value % 2 === 0, 'must be even');
    const queue = t.define(even);
    await createProducer(t.broker, queue).sendMany([2, 4]);
    expect(await handledValues(t, queue, 2)).toEqual([2, 4]);
    await publishRaw(t, queue, { contentType: 'application/json', body: '3' });
    expect(await reasons(t, queue, 1)).toEqual(['invalid']);
  },

  'transformations run once, at the consumer': async (t) => {
    let runs = 0;
    const schema = z.string().transform((text) => {
      runs++;
      return { length: text.length };
    });
    const queue = t.define(schema);
    await createProducer(t.broker, queue).send('four');
    runs = 0;
    expect(await handledValues(t, queue, 1)).toEqual([{ length: 4 }]);
    expect(runs).toBe(1);
  },

  'defaults are filled in at the consumer': async (t) => {
    const queue = t.define(z.object({ id: z.string(), copies: z.number().default(1) }));
    await createProducer(t.broker, queue).send({ id: 'A-1' });
    expect(await handledValues(t, queue, 1)).toEqual([{ id: 'A-1', copies: 1 }]);
  },
};
