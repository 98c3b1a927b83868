import { expect } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { addressOf, message, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

/** Timers, here and at the broker, may fire a fraction of a millisecond early. */
const TIMER_GRAIN_MS = 1;

export const laterCases: Cases = {
  'a delayed message is delivered after its delay, not before, and others go on': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    const before = performance.now();
    await producer.send('later', { id: 'later', delayMs: 3000, headers: { tenant: 'blue' }, priority: 7 });
    await producer.send('now', { delayMs: 0 });
    // On a slow machine both may be there by now.
    await eventually(async () => (await t.ready(queue.name)) > 0);
    const seen: [string, number][] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      (text, { id, attempt, redelivered, headers, exchange, routingKey }) => {
        seen.push([text, performance.now() - before]);
        if (text !== 'later') return;
        expect({ id, attempt, redelivered, exchange, routingKey }).toEqual({
          id: 'later',
          attempt: 1,
          redelivered: false,
          exchange: '',
          routingKey: queue.name,
        });
        expect(headers.tenant).toBe('blue');
      },
      { observe: log.observe },
    );
    await consumer.start();
    await log.until('handled', 2);
    expect(seen.map(([text]) => text)).toEqual(['now', 'later']);
    expect(seen[1]?.[1]).toBeGreaterThanOrEqual(3000 - TIMER_GRAIN_MS);
    await consumer.stop();
    expect(await t.ready(queue.name)).toBe(0);
  },

  'a message for a given time is delivered then, or at once if that has passed': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    await producer.send('past', { at: new Date(0) });
    const inbox = await t.inbox(queue.name);
    const past = await inbox.next();
    expect(JSON.parse(String(past.message.body))).toBe('past');
    const at = new Date(Date.now() + 1200);
    await producer.send('then', { at });
    expect((await inbox.next()).message.dueAt).toBeUndefined();
    // The clock of the machine, which tests do not set.
    expect(Date.now()).toBeGreaterThanOrEqual(at.getTime() - TIMER_GRAIN_MS);
  },

  'a delayed message keeps the contents it had when it was sent': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('first');
    const inbox = await t.inbox(queue.name);
    await inbox.next();
    const body = Buffer.alloc(1);
    const dueAt = Date.now() + 1000;
    const publishing = [1, 2, 3].map((value) => {
      body.writeUInt8(value);
      return t.broker.publish(addressOf(queue.name), message({ body, dueAt }));
    });
    await Promise.all(publishing);
    const delivered = await inbox.take(3);
    expect(delivered.map(({ message }) => Buffer.from(message.body)[0]).sort()).toEqual([1, 2, 3]);
  },

  'equal delays keep their order, and a short one overtakes a long one': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    await producer.send('long', { delayMs: 8000 });
    await producer.sendMany(numbered(20), { delayMs: 1000 });
    const inbox = await t.inbox(queue.name);
    const texts = (await inbox.take(21)).map(({ message: { body } }) =>
      JSON.parse(Buffer.from(body).toString()),
    );
    expect(texts[0]).toBe('m0');
    // However long the sends took.
    expect(texts.filter((text) => text !== 'long')).toEqual(numbered(20));
  },

  'sendMany delays all of its messages, or each by itself': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    const inHours = { delayMs: 3_600_000 };
    await producer.sendMany(['later', 'now'], {
      ...inHours,
      each: (value) => (value === 'now' ? { delayMs: 0 } : {}),
    });
    const inbox = await t.inbox(queue.name);
    const next = async () => String(JSON.parse(Buffer.from((await inbox.next()).message.body).toString()));
    expect(await next()).toBe('now');
    const before = performance.now();
    await producer.sendMany(['b', 'never', 'a'], {
      delayMs: 500,
      each: (value) => (value === 'b' ? { delayMs: 1500 } : value === 'never' ? inHours : {}),
    });
    const at = new Map([[await next(), performance.now() - before]]);
    at.set(await next(), performance.now() - before);
    expect(at.get('a')).toBeGreaterThanOrEqual(500 - TIMER_GRAIN_MS);
    expect(at.get('b')).toBeGreaterThanOrEqual(1500 - TIMER_GRAIN_MS);
  },

  'a delayed message that fails is retried, and becomes a dead letter': async (t) => {
    const queue = t.define(z.string());
    await createProducer(t.broker, queue).send('x', { id: 'A', delayMs: 500 });
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      () => {
        throw new Error('no');
      },
      { retry: { delaysMs: [50] }, observe: log.observe },
    );
    await consumer.start();
    expect(await log.allByAttempt(2)).toMatchObject([
      { type: 'retried', id: 'A', attempt: 1, redelivered: false },
      { type: 'dead-lettered', id: 'A', attempt: 2 },
    ]);
    await consumer.stop();
  },

  'a delayed message to a queue with a capacity comes when there is room': async (t) => {
    const queue = t.define(z.string(), { capacity: 5 });
    const producer = createProducer(t.broker, queue);
    await producer.sendMany(['a', 'b']);
    await producer.send('later', { delayMs: 500 });
    const inbox = await t.inbox(queue.name, { prefetch: 1 });
    const texts: unknown[] = [];
    for (let count = 0; count < 3; count++) {
      const delivery = await inbox.next();
      texts.push(JSON.parse(Buffer.from(delivery.message.body).toString()));
      delivery.ack();
    }
    expect(texts).toEqual(['a', 'b', 'later']);
  },

  'a delayed message outlives the broker that sent it': async (t) => {
    const queue = t.define(z.string());
    const sender = await t.open();
    const before = performance.now();
    await createProducer(sender, queue).send('x', { delayMs: 2000 });
    await sender.close();
    await t.broker.declare(queue.spec);
    const inbox = await t.inbox(queue.name);
    expect(await inbox.next()).toMatchObject({ attempt: 1, redelivered: false });
    expect(performance.now() - before).toBeGreaterThanOrEqual(2000 - TIMER_GRAIN_MS);
  },

  'delays that make no sense are refused at the door': async (t) => {
    const queue = t.define(z.string());
    const { send } = createProducer(t.broker, queue);
    for (const options of [
      { delayMs: -1 },
      { delayMs: 1.5 },
      { delayMs: 1e13 },
      { delayMs: 2 ** 53 },
      { delayMs: Number.NaN },
      { delayMs: Number.POSITIVE_INFINITY },
      { at: new Date('9999-12-31') },
      { at: new Date('never') },
      { at: new Date(Date.now() + 1e13) },
      { at: 5 as unknown as Date },
      { at: new Date(), delayMs: 5 },
    ]) {
      await rejection(send('x', options), 'INVALID_OPTION');
    }
    await t.broker.declare(queue.spec);
    await rejection(
      t.broker.publish(addressOf(queue.name), message({ dueAt: 'soon' as unknown as number })),
      'INVALID_MESSAGE',
    );
    await rejection(
      t.broker.publish({ exchange: 'amq.topic', routingKey: 'x' }, message({ dueAt: Date.now() + 1000 })),
      'INVALID_MESSAGE',
    );
  },
};
