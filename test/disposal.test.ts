import { expect, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../src/connect.js';
import { createConsumer } from '../src/consumer/create-consumer.js';
import { LocalQueue } from '../src/local-queue/local-queue.js';
import { createProducer } from '../src/producer/producer.js';
import { createRequester } from '../src/producer/requester.js';
import { defineQueue } from '../src/queue.js';
import { rejection } from './support/rejection.js';

test('await using closes requesters, consumers and brokers at the end of a block', async () => {
  const queue = defineQueue('double', z.number());
  const seen = await (async () => {
    await using broker = await connect('local:');
    await using consumer = createConsumer(broker, queue, (n) => n * 2);
    await consumer.start();
    await using requester = createRequester(broker, queue, { reply: z.number() });
    expect(await requester.request(2)).toBe(4);
    return { broker, consumer, requester };
  })();
  expect(seen.broker.state).toBe('closed');
  expect(seen.consumer.state).toBe('stopped');
  await rejection(seen.requester.request(2), 'CLOSED');
});

test('using closes a LocalQueue at the end of a block, and its items can still be taken', async () => {
  const leave = () => {
    using queue = new LocalQueue<number>();
    queue.tryPut(1);
    return queue;
  };
  const queue = leave();
  expect(queue.closed).toBe(true);
  expect(await queue.take()).toBe(1);
  await rejection(queue.take(), 'CLOSED');
});

test('a broker that was not awaited is refused with the way out', () => {
  const queue = defineQueue('a', z.string());
  expect(() => createProducer(connect('local:') as never, queue)).toThrow('await it first');
  expect(() => createProducer(undefined as never, queue)).toThrow('the broker that connect() resolves to');
});
