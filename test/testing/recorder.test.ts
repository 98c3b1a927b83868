import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Broker } from '../../src/broker.js';
import type { Handler } from '../../src/consumer/consumer.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { receive } from '../../src/consumer/receive.js';
import { RejectMessage } from '../../src/errors.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { createRecorder } from '../../src/testing/recorder.js';
import { openTestBroker, type TestBrokerOptions } from '../../src/testing/test-broker.js';
import { createPublisher } from '../../src/topics/publisher.js';
import { defineSubscription } from '../../src/topics/subscription.js';
import { defineTopic } from '../../src/topics/topic.js';
import { rejection } from '../support/rejection.js';
import { recordWarnings } from '../support/warnings.js';

const orders = defineQueue('orders', z.object({ total: z.number() }));

async function bench(options?: TestBrokerOptions) {
  const recorder = createRecorder(await openTestBroker(options), { timeoutMs: 200 });
  onTestFinished(() => recorder.broker.close());
  return recorder;
}

async function handle(broker: Broker, handler: Handler<{ total: number }>) {
  const consumer = createConsumer(broker, orders, handler);
  onTestFinished(async () => {
    await consumer.stop({ deadlineMs: 0 });
  });
  await consumer.start();
  return consumer;
}

test('what is sent and handled is told, whenever one asks', async () => {
  const recorder = await bench();
  const sent = recorder.sent(2, 'orders');
  const producer = createProducer(recorder.broker, orders);
  const { id } = await producer.send({ total: 1 }, { headers: { shop: 'north' } });
  await producer.send({ total: 2 });
  expect(await sent).toMatchObject([{ id, queue: 'orders' }, { queue: 'orders' }]);
  await handle(recorder.broker, () => {});
  expect(await recorder.handled(id)).toMatchObject({
    attempt: 1,
    redelivered: false,
    message: { headers: { shop: 'north' } },
  });
  expect(await recorder.handled(id)).toBe(await recorder.handled(id));
});

test('a failure is reported with its reason: retried at once, and dead-lettered in the end', async () => {
  recordWarnings('MILLRACE_ATTEMPT_FAILED', 'MILLRACE_DEAD_LETTER');
  const recorder = await bench();
  await handle(recorder.broker, (_order, { attempt }) => {
    if (attempt === 1) throw new Error('no paper');
    throw new RejectMessage('negative');
  });
  const { id } = await createProducer(recorder.broker, orders).send({ total: -1 });
  // The policy says a second.
  expect(await recorder.deadLettered(id)).toMatchObject({
    attempt: 2,
    failure: { code: 'rejected', error: 'negative' },
  });
  expect(await recorder.retried(id)).toMatchObject({ attempt: 1, failure: { error: 'no paper' } });
});

test('a wait that times out reports what was seen instead', async () => {
  const recorder = await bench();
  expect((await rejection(recorder.sent(1), 'TIMEOUT')).message).toContain('Seen: nothing');
  const { id } = await createProducer(recorder.broker, orders).send({ total: 1 });
  const error = await rejection(recorder.handled(id), 'TIMEOUT');
  expect(error.message).toBe(`message ${id} handled: not done within 200 ms. Seen: sent ${id} to 'orders'`);
});

test('what goes back unbegun, or is taken away, is told as well', async () => {
  const recorder = await bench();
  const producer = createProducer(recorder.broker, orders);
  const [one, two] = [await producer.send({ total: 1 }), await producer.send({ total: 2 })];
  for await (const message of receive(recorder.broker, orders)) {
    message.release();
    break;
  }
  await new Promise<void>((begun) => {
    void handle(recorder.broker, (_order, { signal }) => {
      begun();
      return new Promise((resolve) => signal.addEventListener('abort', resolve));
    });
  });
  await recorder.broker.close();
  const types = recorder.events.map(
    ({ type, id }) => `${type} ${id === one.id ? 1 : id === two.id ? 2 : '?'}`,
  );
  expect(types).toContain('released 1');
  expect(types).toContain('lost 1');
  expect(types).not.toContain('handled 1');
});

test('what is published to a topic is recorded once, and what each subscription does with it by itself', async () => {
  recordWarnings('MILLRACE_DEAD_LETTER');
  const recorder = await bench();
  const shop = defineTopic('shop', { 'order.placed': z.object({ total: z.number() }) });
  const billing = defineSubscription(shop, 'billing', { to: ['order.*'] });
  const mail = defineSubscription(shop, 'mail', { to: ['order.*'] });
  const consumers = [
    createConsumer(recorder.broker, billing, () => {}),
    createConsumer(
      recorder.broker,
      mail,
      () => {
        throw new Error('no stamps');
      },
      { retry: { delaysMs: [] } },
    ),
  ];
  for (const consumer of consumers) await consumer.start();
  const publisher = createPublisher(recorder.broker, shop);
  const { id } = await publisher.publish('order.placed', { total: 1 });
  const [sent] = await recorder.sent(1, 'shop');
  expect(sent).toMatchObject({ id, queue: 'shop → order.placed' });
  expect(await recorder.handled(id, 'shop.billing')).toMatchObject({ queue: 'shop.billing' });
  expect((await recorder.deadLettered(id, 'shop.mail')).failure.error).toBe('no stamps');
  for (const consumer of consumers) await consumer.stop();
  expect(recorder.events.filter(({ type }) => type === 'sent')).toHaveLength(1);
});

test('a test broker has small queues, and those that say more have more', async () => {
  const recorder = await bench({ capacity: 2 });
  const producer = createProducer(recorder.broker, orders);
  await producer.send({ total: 1 });
  await producer.send({ total: 2 });
  expect(await producer.trySend({ total: 3 })).toBeUndefined();
  const wide = createProducer(recorder.broker, defineQueue('wide', z.number(), { capacity: 3 }));
  for (const number of [1, 2, 3]) await wide.send(number);
  expect(await wide.trySend(4)).toBeUndefined();
});

test('invalid options are refused', async () => {
  await rejection(openTestBroker({ capacity: 0 }), 'INVALID_OPTION');
  const broker = await openTestBroker();
  expect(() => createRecorder(broker, { timeoutMs: 0 })).toThrow(/timeoutMs/);
});
