import { expect, onTestFinished, test } from 'vitest';
import type { Delivery } from '../../src/broker.js';
import { queueSpec } from '../../src/common/definitions/queue-spec.js';
import { newMessage } from '../../src/common/message/create-and-check.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { aroundBroker, withVerbs } from '../../src/testing/around-broker.js';
import { eventually } from '../support/eventually.js';

test('a delivery that was replaced is lost as the object that the subscriber got', async () => {
  const broker = openMemoryBroker();
  onTestFinished(() => broker.close());
  const around = aroundBroker(broker, { delivery: (delivery) => withVerbs(delivery, {}) });
  await around.declare(queueSpec('orders'));
  const delivered: Delivery[] = [];
  const lost: Delivery[] = [];
  const onLost = (delivery: Delivery) => lost.push(delivery);
  await around.subscribe('orders', { prefetch: 1, onLost }, (delivery) => delivered.push(delivery));
  const message = newMessage({ contentType: 'text/plain', body: 'x' });
  await around.publish({ exchange: '', routingKey: 'orders' }, message);
  await eventually(() => delivered.length === 1);
  await around.close();
  expect(lost).toHaveLength(1);
  expect(lost[0]).toBe(delivered[0]);
});
