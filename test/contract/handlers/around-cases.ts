import { AsyncLocalStorage } from 'node:async_hooks';
import { expect } from 'vitest';
import { z } from 'zod';
import { createBatchConsumer } from '../../../src/batches/create-batch-consumer.js';
import type { Around, SendContext } from '../../../src/common/hooks/around.js';
import type { HandlerContext } from '../../../src/consumer/consumer.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { RejectMessage } from '../../../src/errors.js';
import { createProducer } from '../../../src/producer/producer.js';
import { createRequester } from '../../../src/producer/requester.js';
import type { Queue } from '../../../src/queue.js';
import { EventLog } from '../../support/event-log.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import type { Cases } from '../contract-suite.js';

/** Adds its name to a header, in the order of the calls. */
function signing(name: string): Around<SendContext> {
  return (next, { headers }) => {
    headers.signed = `${headers.signed ?? ''}${name}`;
    return next();
  };
}

/** Says when it begins and ends. */
function telling(told: string[], name: string): Around<HandlerContext> {
  return async (next, { attempt }) => {
    told.push(`${name} ${attempt} begins`);
    try {
      return await next();
    } finally {
      told.push(`${name} ${attempt} ends`);
    }
  };
}

/** What `around` promises; its other cases, which no backend has a part in, are in test/common/hooks/around.test.ts. */
export const aroundCases: Cases = {
  'handlers run in the async context of the call that began to consume, not of connect or send': async (
    t,
  ) => {
    const context = new AsyncLocalStorage<string>();
    const queue = t.define(z.string());
    const broker = await context.run('connect', () => t.open());
    const seen: (string | undefined)[] = [];
    const [first, second] = ['first', 'second'].map((name) =>
      createConsumer(broker, queue, (value) => {
        seen.push(`${value} in ${name}: ${context.getStore()}`);
      }),
    );
    await context.run('start', () => first?.start());
    const producer = createProducer(broker, queue);
    await context.run('send', () => producer.send('a'));
    await untilAsserted(() => expect(seen).toEqual(['a in first: start']));
    await first?.stop();
    await second?.start();
    await context.run('send', () => producer.send('b'));
    await untilAsserted(() => expect(seen).toEqual(['a in first: start', 'b in second: undefined']));
    await second?.stop();
  },

  'functions around a send add headers, the outermost first, and those around a handler surround each attempt':
    async (t) => {
      const queue = t.define(z.string());
      const told: string[] = [];
      const consumer = createConsumer(
        t.broker,
        queue,
        (value, { headers, attempt }) => {
          told.push(`${value} signed ${headers.signed}`);
          if (attempt === 1) throw new Error('once');
        },
        {
          around: [telling(told, 'outer'), telling(told, 'inner')],
          retry: { delaysMs: [0] },
          observe: () => {},
        },
      );
      await consumer.start();
      await createProducer(t.broker, queue, { around: [signing('a'), signing('b')] }).send('x');
      await eventually(() => consumer.counts.handled === 1);
      await consumer.stop();
      const attempt = (number: number) => [
        `outer ${number} begins`,
        `inner ${number} begins`,
        'x signed ab',
        `inner ${number} ends`,
        `outer ${number} ends`,
      ];
      expect(told).toEqual([...attempt(1), ...attempt(2)]);
    },

  'what a function around a handler throws counts as the handler’s: it is retried, or a dead letter': async (
    t,
  ) => {
    const queue = t.define(z.string());
    const log = new EventLog();
    const consumer = createConsumer(t.broker, queue, () => {}, {
      around: [
        (_next, { attempt }) => {
          if (attempt === 1) throw new TypeError('not yet');
          throw new RejectMessage('never');
        },
      ],
      retry: { delaysMs: [0] },
      observe: log.observe,
    });
    await consumer.start();
    await createProducer(t.broker, queue).send('x', { id: 'm-1' });
    await log.until('dead-lettered');
    await consumer.stop();
    expect(consumer.counts).toMatchObject({ handled: 0, retried: 1, deadLettered: 1 });
    await t.untilCounted(`${queue.name}.dead`, { ready: 1 });
    const { deadLetters: dead } = await deadLetters(t.broker, queue).list();
    expect(dead).toMatchObject([{ id: 'm-1', reason: 'rejected', error: 'never', firstError: 'not yet' }]);
  },

  'a handler that a function does not wait for counts all the same, of messages and of batches': async (
    t,
  ) => {
    const floating: Around<unknown> = async (next) => {
      void next();
      return undefined as never;
    };
    const late = async (): Promise<never> => {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      throw new Error('late');
    };
    const failing: Around<unknown> = async (next) => {
      await next();
      return late();
    };
    const options = { retry: { delaysMs: [] }, observe: () => {} };
    for (const create of [
      (queue: Queue<string>) => createConsumer(t.broker, queue, late, { ...options, around: [floating] }),
      (queue: Queue<string>) =>
        createConsumer(t.broker, queue, () => {}, {
          ...options,
          around: [floating, failing],
        }),
      (queue: Queue<string>) =>
        createBatchConsumer(t.broker, queue, late, { ...options, waitMs: 0, around: [floating] }),
    ]) {
      const queue = t.define(z.string());
      const consumer = create(queue);
      await consumer.start();
      await createProducer(t.broker, queue).send('x');
      await eventually(() => consumer.counts.handled + consumer.counts.deadLettered === 1);
      await consumer.stop();
      expect(consumer.counts).toMatchObject({ handled: 0, deadLettered: 1 });
    }
  },

  'a send that a function refuses stores nothing, and one that a function swallows does not resolve': async (
    t,
  ) => {
    const queue = t.define(z.string());
    await t.broker.declare(queue.spec);
    const refuse: Around<SendContext> = () => Promise.reject(new Error('no tenant'));
    await expect(createProducer(t.broker, queue, { around: [refuse] }).send('x')).rejects.toThrow(
      'no tenant',
    );
    const swallow: Around<SendContext> = async () => undefined as never;
    await rejection(createProducer(t.broker, queue, { around: [swallow] }).send('x'), 'ABORTED');
    expect(await t.ready(queue.name)).toBe(0);
  },

  'a request and its handler have functions around them, and a batch is one call': async (t) => {
    const store = new AsyncLocalStorage<string>();
    const queue = t.define(z.string());
    const replies: unknown[] = [];
    const consumer = createConsumer(
      t.broker,
      queue,
      (_, { headers }) => `${headers.signed} for ${store.getStore()}`,
      { around: [(next, { queue: name }) => store.run(name, next)] },
    );
    await consumer.start();
    const requester = createRequester(t.broker, queue, {
      reply: z.string(),
      around: [
        signing('a'),
        async (next) => {
          const reply = await next();
          replies.push(reply);
          return reply;
        },
      ],
    });
    expect(await requester.request('x')).toBe(`a for ${queue.name}`);
    expect(replies).toEqual([`a for ${queue.name}`]);
    await requester.close();
    await consumer.stop();

    const rows = t.define(z.string());
    const told: string[] = [];
    const batches = createBatchConsumer(t.broker, rows, () => void told.push('work'), {
      size: 2,
      waitMs: 60_000,
      around: [
        (next, { batch, queue: name }) => {
          told.push(`${name === rows.name}: ${batch.map(({ value }) => value)}`);
          return next();
        },
      ],
    });
    await batches.start();
    await createProducer(t.broker, rows).sendMany(['a', 'b']);
    await eventually(() => batches.counts.handled === 2);
    await batches.stop();
    expect(told).toEqual(['true: a,b', 'work']);
  },
};
