import { expect } from 'vitest';
import { z } from 'zod';
import { deadLetterHistory } from '../../src/common/history-headers.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { createProducer } from '../../src/producer/producer.js';
import { createRequester } from '../../src/producer/requester.js';
import { EventLog } from '../support/event-log.js';
import { rejection } from '../support/rejection.js';
import type { Cases } from './contract-suite.js';

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
};
