import { getEventListeners, setMaxListeners } from 'node:events';
import { expect } from 'vitest';
import { z } from 'zod';
import type { HeaderValue } from '../../../src/broker.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { createProducer } from '../../../src/producer/producer.js';
import { rejection, watch } from '../../support/rejection.js';
import { message, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const order = z.object({ id: z.string(), total: z.number().positive() });

export const sendCases: Cases = {
  'send resolves with the id once the message is stored, and declares the queue itself': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    const { id } = await producer.send('Hello World!');
    expect(await t.ready(queue.name)).toBe(1);
    const delivery = await (await t.inbox(queue.name)).next();
    expect(delivery.message).toMatchObject({ id, contentType: 'application/json' });
    expect(Buffer.from(delivery.message.body).toString()).toBe('"Hello World!"');
    expect(delivery.message.timestamp).toBeTypeOf('number');
  },

  'each message has an id of its own, unless the sender names it': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    const sent = await Promise.all(numbered(50).map((text) => producer.send(text)));
    expect(new Set(sent.map(({ id }) => id)).size).toBe(50);
    expect(await producer.send('named', { id: 'order-7' })).toEqual({ id: 'order-7' });
  },

  'the options of a send arrive with the message': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x', {
      headers: { tenant: 'blue', grüße: '世界' },
      correlationId: 'c1',
      replyTo: 'answers',
      priority: 7,
    });
    const { message: received } = await (await t.inbox(queue.name)).next();
    expect(received).toMatchObject({ correlationId: 'c1', replyTo: 'answers' });
    expect({ ...received.headers }).toEqual({ tenant: 'blue', grüße: '世界' });
  },

  'a value that fails its schema is INVALID_MESSAGE before any I/O': async (t) => {
    const queue = t.define(order);
    const producer = createProducer(t.broker, queue);
    const error = await rejection(producer.send({ id: 'A-1', total: -1 }), 'INVALID_MESSAGE');
    expect(error.message).toContain('total');
    await rejection(t.broker.inspect(queue.name), 'QUEUE_MISSING');
  },

  'an encoded value over the limit is TOO_LARGE before any I/O': async (t) => {
    const broker = await t.open({ maxMessageBytes: 100 });
    const queue = t.define(z.string());
    const producer = createProducer(broker, queue);
    await rejection(producer.send('x'.repeat(99)), 'TOO_LARGE');
    await rejection(broker.inspect(queue.name), 'QUEUE_MISSING');
    await producer.send('x'.repeat(98));
  },

  'invalid options are INVALID_OPTION before any I/O': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    const wrong = [
      { id: '' },
      { id: 'x'.repeat(256) },
      { priority: 32 },
      { priority: -1 },
      { timeoutMs: -1 },
      { correlationId: 'ü'.repeat(128) },
      { headers: { 'x-millrace-attempt': '9' } },
      { headers: { run: (() => {}) as never } },
      { headers: { at: new Map() as never } },
      { headers: { missing: undefined as never } },
      { headers: { list: [Number.NaN] } },
      { headers: { big: 2n ** 63n } },
      { headers: { before: new Date(-1) } },
      { headers: { half: ['\ud800'] } },
      { headers: { table: { ['x'.repeat(256)]: 1 } } },
      { headers: { large: 'x'.repeat(70_000) } },
      { headers: { deep: Array.from({ length: 40 }).reduce<HeaderValue[]>((inner) => [inner], []) } },
      { type: 'x'.repeat(256) },
      { appId: 5 as unknown as string },
      { userId: '\ud800' },
      { contentEncoding: 'x'.repeat(256) },
      { persistent: 'no' as unknown as boolean },
      { expiresInMs: 0 },
      { expiresInMs: 1.5 },
      { signal: {} as AbortSignal },
      { ttl: 5 } as object,
    ];
    for (const options of wrong) {
      await rejection(producer.send('x', options), 'INVALID_OPTION');
      await rejection(producer.trySend('x', options), 'INVALID_OPTION');
    }
    await rejection(t.broker.inspect(queue.name), 'QUEUE_MISSING');
  },

  'send waits at capacity, and continues when there is room': async (t) => {
    const queue = t.define(z.string(), { capacity: 5 });
    await t.broker.declare(queue.spec);
    const stored = await t.fill(queue.name);
    const producer = createProducer(t.broker, queue);
    const sending = producer.send('waiting', { id: 'waiting' });
    const watched = watch(sending);
    await rejection(producer.send('late', { timeoutMs: 100 }), 'TIMEOUT');
    expect(watched.state).toBe('pending');
    const inbox = await t.inbox(queue.name);
    expect(await inbox.ackNext(stored.length + 1)).toEqual([...stored, 'waiting']);
    await sending;
  },

  "the producer's time limit applies to every send without its own": async (t) => {
    const queue = t.define(z.string(), { capacity: 1 });
    await t.broker.declare(queue.spec);
    await t.fill(queue.name);
    const producer = createProducer(t.broker, queue, { timeoutMs: 50 });
    await rejection(producer.send('late'), 'TIMEOUT');
    const patient = producer.send('waiting', { id: 'waiting', timeoutMs: Number.POSITIVE_INFINITY });
    const watched = watch(patient);
    await rejection(producer.send('late'), 'TIMEOUT');
    expect(watched.state).toBe('pending');
    await t.broker.purge(queue.name);
    await patient;
  },

  'an aborted send is ABORTED, with the reason as its cause, and stores nothing': async (t) => {
    const queue = t.define(z.string(), { capacity: 1 });
    await t.broker.declare(queue.spec);
    const stored = await t.fill(queue.name);
    const producer = createProducer(t.broker, queue);
    const controller = new AbortController();
    const sending = producer.send('never', { signal: controller.signal });
    const reason = new Error('the request was cancelled');
    controller.abort(reason);
    expect((await rejection(sending, 'ABORTED')).cause).toBe(reason);
    const inbox = await t.inbox(queue.name);
    expect(await inbox.ackNext(stored.length)).toEqual(stored);
    await producer.send('after', { id: 'after' });
    expect(await inbox.ackNext(1)).toEqual(['after']);
  },

  'trySend stores the message if there is room; otherwise it resolves to undefined and stores nothing':
    async (t) => {
      const queue = t.define(z.string(), { capacity: 5 });
      const producer = createProducer(t.broker, queue);
      expect(await producer.trySend('first', { id: 'first' })).toEqual({ id: 'first' });
      const stored = await t.fill(queue.name);
      expect(await producer.trySend('refused')).toBeUndefined();
      const inbox = await t.inbox(queue.name);
      expect(await inbox.ackNext(stored.length + 1)).toEqual(['first', ...stored]);
      expect(await producer.trySend('again', { id: 'again' })).toEqual({ id: 'again' });
      expect(await inbox.ackNext(1)).toEqual(['again']);
    },

  'send to a queue that exists with other properties is QUEUE_MISMATCH': async (t) => {
    const there = await t.declare();
    const queue = {
      ...t.define(z.string()),
      name: there.name,
      spec: t.otherSpec(there.name),
    };
    await rejection(createProducer(t.broker, queue).send('x'), 'QUEUE_MISMATCH');
  },

  'send on a closed broker is CLOSED': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    await producer.send('x');
    await t.broker.close();
    await rejection(producer.send('y'), 'CLOSED');
    await rejection(producer.trySend('y'), 'CLOSED');
    await rejection(createProducer(t.broker, queue).send('z'), 'CLOSED');
  },

  'a message of another tool in the same queue arrives unchanged': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('ours', { id: 'ours' });
    const foreign = message({ id: 'foreign', contentType: '', body: 'theirs' });
    await t.broker.publish({ exchange: '', routingKey: queue.name }, foreign);
    expect(await (await t.inbox(queue.name)).ackNext(2)).toEqual(['ours', 'foreign']);
  },

  'a signal shared by many calls has no listeners left when they are over': async (t) => {
    const queue = t.define(z.string(), { capacity: Number.POSITIVE_INFINITY });
    const { signal } = new AbortController();
    setMaxListeners(0, signal);
    const producer = createProducer(t.broker, queue);
    const texts = numbered(1000);
    await Promise.all(texts.map((text) => producer.send(text, { signal })));
    await producer.sendMany(texts, { signal });
    await producer.trySend('tried', { signal });
    await t.broker.inspect(queue.name, { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);

    const subscription = await t.broker.subscribe(queue.name, { prefetch: 1, signal }, () => {});
    await subscription.close();
    await deadLetters(t.broker, queue).list({ signal });
    await t.broker.purge(queue.name, { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  },
};
