import { expect, test } from 'vitest';
import { z } from 'zod';
import type { HandlerContext } from '../../src/consumer/consumer.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { createContext, openTestBroker } from '../../src/testing/index.js';

test('a context for a unit test is that of a new message, besides what the test says', () => {
  const context = createContext({ queue: 'orders', attempt: 3, headers: { tenant: 'blue' } });
  expect(context).toMatchObject({ queue: 'orders', routingKey: 'orders', attempt: 3, redelivered: true });
  expect(context.headers).toEqual({ tenant: 'blue' });
  expect(context.signal.aborted).toBe(false);
  expect(createContext().id).not.toBe(createContext().id);
  expect(() => createContext({ attemp: 3 } as never)).toThrow(/there is no option "attemp"/);
});

test('it has the properties that a consumer hands out', async () => {
  const broker = await openTestBroker();
  const queue = defineQueue('orders', z.string());
  const received = new Promise<HandlerContext>((resolve) => {
    const consumer = createConsumer(broker, queue, (_, context) => resolve({ ...context }));
    void consumer.start();
  });
  await createProducer(broker, queue).send('x');
  expect(Object.keys(createContext()).sort()).toEqual(Object.keys(await received).sort());
  await broker.close();
});
