import { expect, test, vi } from 'vitest';
import { z } from 'zod';
import type { Delivery } from '../../../src/broker.js';
import { openMemoryBroker } from '../../../src/local-queue/memory/broker.js';
import { MemoryQueue } from '../../../src/local-queue/memory/queue.js';
import { createPublisher } from '../../../src/topics/publisher.js';
import { defineSubscription } from '../../../src/topics/subscription.js';
import { defineTopic } from '../../../src/topics/topic.js';

const SUBSCRIPTIONS = 200;

test('while an event waits for one of many subscriptions, an acknowledgement in another looks at few queues', async () => {
  await using broker = openMemoryBroker();
  const topic = defineTopic('shop', { placed: z.number() });
  const held: Delivery[] = [];
  for (let number = 0; number < SUBSCRIPTIONS; number++) {
    const { spec } = defineSubscription(topic, `s${number}`, { to: ['#'], capacity: 1 });
    await broker.declare(spec);
    await broker.subscribe(spec.name, { prefetch: 10 }, (delivery) => held.push(delivery));
  }
  const { publish } = createPublisher(broker, topic);
  await publish('placed', 1);
  const second = publish('placed', 2);
  const third = publish('placed', 3);
  // Deliveries begin in a microtask of each queue.
  await new Promise(setImmediate);
  expect(held).toHaveLength(SUBSCRIPTIONS);
  const looks = vi.spyOn(MemoryQueue.prototype, 'hasRoom', 'get');
  for (const delivery of held.splice(0, SUBSCRIPTIONS - 1)) delivery.ack();
  expect(looks.mock.calls.length).toBeLessThan(SUBSCRIPTIONS * 10);
  looks.mockRestore();
  // The last copy makes room for the second event, and for none more.
  held.pop()?.ack();
  expect(await second).toMatchObject({ routed: true });
  await new Promise(setImmediate);
  expect(held).toHaveLength(SUBSCRIPTIONS);
  for (const delivery of held.splice(0)) delivery.ack();
  expect(await third).toMatchObject({ routed: true });
});
