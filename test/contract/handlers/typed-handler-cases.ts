import { expect } from 'vitest';
import { z } from 'zod';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { createRequester } from '../../../src/producer/requester.js';
import { EventLog } from '../../support/event-log.js';
import { rejection } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';
import type { Cases } from '../contract-suite.js';

const event = z.discriminatedUnion('type', [
  z.object({ type: z.literal('click'), x: z.number() }),
  z.object({ type: z.literal('key'), key: z.string() }),
]);

export const typedHandlerCases: Cases = {
  'each message goes to the handler for its type': async (t) => {
    const queue = t.define(event);
    const seen: unknown[] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      {
        by: 'type',
        handlers: {
          click: ({ x }, { id }) => {
            seen.push(['click', x, typeof id]);
          },
          key: async ({ key }) => {
            seen.push(['key', key]);
          },
        },
      },
      { observe: log.observe },
    );
    await consumer.start();
    const producer = createProducer(t.broker, queue);
    await producer.send({ type: 'key', key: 'Enter' });
    await producer.send({ type: 'click', x: 7 });
    await log.until('handled', 2);
    expect(seen).toEqual([
      ['key', 'Enter'],
      ['click', 7, 'string'],
    ]);
  },

  'a message of a type that has no handler is a dead letter at once': async (t) => {
    const queue = t.define(z.object({ type: z.string() }));
    const called: string[] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      { by: 'type', handlers: { click: ({ type }) => called.push(type) } },
      { observe: log.observe },
    );
    await consumer.start();
    // The second is a name that every object has.
    await createProducer(t.broker, queue).sendMany([
      { type: 'scroll' },
      { type: 'toString' },
      { type: 'click' },
    ]);
    await log.until('handled');
    expect(called).toEqual(['click']);
    const dead = await (await t.inbox(`${queue.name}.dead`)).take(2);
    for (const { message } of dead) {
      expect(deadLetterHistory(message.headers)).toMatchObject({ reason: 'rejected', attempts: 1 });
    }
    expect(deadLetterHistory(dead[0]?.message.headers ?? {})?.error).toContain('"scroll"');
  },

  'what the handler for its type returns is the reply': async (t) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(event);
    const consumer = createConsumer(
      t.broker,
      queue,
      {
        by: 'type',
        handlers: {
          click: ({ x }) => x * 2,
          key: () => {
            throw new Error('no keys');
          },
        },
      },
      { retry: { delaysMs: [] } },
    );
    await consumer.start();
    const requester = createRequester(t.broker, queue, { reply: z.number() });
    expect(await requester.request({ type: 'click', x: 4 })).toBe(8);
    const error = await rejection(requester.request({ type: 'key', key: 'a' }), 'REMOTE_ERROR');
    expect(error.remote?.message).toBe('no keys');
    await requester.close();
  },

  'a message goes to the handler for the type that its sender gave it, or to that for the rest': async (
    t,
  ) => {
    const queue = t.define(z.object({ id: z.number() }));
    const seen: unknown[] = [];
    const log = new EventLog();
    const consumer = createConsumer(
      t.broker,
      queue,
      {
        byMessage: 'type',
        handlers: {
          'order.placed': ({ id }, { type }) => void seen.push([id, type]),
        },
        otherwise: async ({ id }, { type }) => void seen.push([id, 'otherwise', type]),
      },
      { observe: log.observe },
    );
    await consumer.start();
    const producer = createProducer(t.broker, queue);
    await producer.send({ id: 1 }, { type: 'order.placed' });
    await producer.send({ id: 2 }, { type: 'order.paid' });
    await producer.send({ id: 3 });
    await producer.send({ id: 4 }, { type: 'constructor' });
    await log.until('handled', 4);
    expect(seen).toEqual([
      [1, 'order.placed'],
      [2, 'otherwise', 'order.paid'],
      [3, 'otherwise', undefined],
      [4, 'otherwise', 'constructor'],
    ]);
    await consumer.stop();
  },

  'a message whose type or routing key has no handler is a dead letter at once': async (t) => {
    const queue = t.define(z.number());
    const log = new EventLog();
    const seen: unknown[] = [];
    const consumer = createConsumer(
      t.broker,
      queue,
      { byMessage: 'type', handlers: { known: (value) => void seen.push(value) } },
      { observe: log.observe },
    );
    await consumer.start();
    const producer = createProducer(t.broker, queue);
    await producer.send(1);
    await producer.send(2, { type: 'known' });
    await log.until('handled');
    const [dead] = await log.until('dead-lettered');
    expect(dead?.failure).toMatchObject({ code: 'rejected', error: expect.stringContaining('undefined') });
    await consumer.stop();

    const byKey = createConsumer(
      t.broker,
      queue,
      { byMessage: 'routingKey', handlers: { [queue.name]: (value) => void seen.push(value) } },
      { observe: log.observe },
    );
    await byKey.start();
    await producer.send(3);
    await log.until('handled', 2);
    expect(seen).toEqual([2, 3]);
    await byKey.stop();
  },

  'handlers by message are checked': async (t) => {
    const queue = t.define(z.number());
    const wrong = [
      { byMessage: 'appId', handlers: {} },
      { byMessage: 'type', handlers: { a: 5 } },
      { byMessage: 'type', handlers: {}, otherwise: 5 },
      { byMessage: 'type', by: 'type', handlers: {} },
      { byMessage: 'type' },
    ];
    for (const handler of wrong) {
      expect(() => createConsumer(t.broker, queue, handler as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION' }),
      );
    }
  },
};
