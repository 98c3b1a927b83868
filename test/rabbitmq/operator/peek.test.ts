import { afterAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { operatorOf } from '../../../src/common/backend-of.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('peek');
afterAll(() => removeQueues(prefix));

async function open(): Promise<Backend> {
  const broker = await openRabbitMqBroker([amqpUrl()], { observe: () => {} });
  onTestFinished(() => broker.close());
  return broker;
}

test('what RabbitMQ can’t show is refused with the place where it can be seen', async () => {
  const broker = await open();
  const queue = defineQueue(`${prefix}-refused`, z.string());
  await broker.declare(queue.spec);
  const refusal = async (options: object) =>
    (await rejection(operatorOf(broker).peek(queue.name, options), 'UNSUPPORTED')).message;
  expect(await refusal({ state: 'delayed' })).toContain(`such as '${queue.name}.retry.10000'`);
  expect(await refusal({ state: 'unsettled' })).toContain('which its consumers hold');
  expect(await refusal({ after: '1:1' })).toContain('raise the limit');
});

test('a message that waits for its retry is seen in its wait queue, and retried when it is due', async () => {
  const broker = await open();
  const queue = defineQueue(`${prefix}-retried`, z.string());
  const log = new EventLog();
  const consumer = createConsumer(
    broker,
    queue,
    (_, { attempt }) => {
      if (attempt === 1) throw new Error('once');
    },
    { retry: { delaysMs: [5000] }, observe: log.observe },
  );
  await consumer.start();
  await createProducer(broker, queue).send('x', { id: 'm-1' });
  await log.until('retried');
  // It may be due already on a slow machine; then it was seen by nobody, and the test says less.
  const seen = await eventually(async () => {
    const { messages } = await operatorOf(broker).peek(`${queue.name}.retry.5000`);
    return (messages.length > 0 || consumer.counts.handled > 0) && messages;
  });
  if (consumer.counts.handled === 0)
    expect(seen).toMatchObject([{ message: { id: 'm-1', headers: { 'x-millrace-error': 'once' } } }]);
  await log.until('handled');
  expect(log.of('handled')).toMatchObject([{ id: 'm-1', attempt: 2 }]);
  await consumer.stop();
});
