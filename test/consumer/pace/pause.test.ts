import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { Deferred } from '../../../src/common/waiting/waiting.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { openMemoryBroker } from '../../../src/local-queue/memory/broker.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { aroundBroker } from '../../../src/testing/around-broker.js';
import { eventually } from '../../support/eventually.js';

test('messages that arrived while a starting consumer had to pause are handled when it is resumed', async () => {
  const broker = openMemoryBroker();
  const queue = defineQueue('orders', z.string());
  const confirmed = new Deferred();
  let arrived = 0;
  // Its deliveries come before it is confirmed, as RabbitMQ's may.
  const subscribe: Backend['subscribe'] = async (name, options, onDelivery) => {
    const subscription = await broker.subscribe(name, options, (delivery) => {
      arrived++;
      onDelivery(delivery);
    });
    await confirmed.promise;
    return subscription;
  };
  const slow: Backend = Object.assign(Object.create(aroundBroker(broker, {})), { subscribe });
  const handled: string[] = [];
  const consumer = createConsumer(slow, queue, (value) => void handled.push(value));
  await createProducer(broker, queue).send('a');
  const starting = consumer.start();
  const pausing = consumer.pause();
  await eventually(() => arrived === 1);
  const resuming = consumer.resume();
  await eventually(() => handled.length === 1);
  confirmed.resolve();
  await Promise.all([starting, pausing, resuming]);
  expect(consumer.state).toBe('running');
  await consumer.stop();
  await broker.close();
});
