import { AsyncLocalStorage } from 'node:async_hooks';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../../../src/connect.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { untilAsserted } from '../../support/eventually.js';

test('handlers run in the async context of the call that began to consume, not of connect or send', async () => {
  const context = new AsyncLocalStorage<string>();
  const queue = defineQueue(uniqueName('context'), z.string());
  const broker = await context.run('connect', () => connect(amqpUrl()));
  onTestFinished(() => broker.close());
  const seen: (string | undefined)[] = [];
  const consumers = ['first', undefined].map((name) =>
    createConsumer(broker, queue, (value) => {
      seen.push(`${value} in ${name}: ${context.getStore()}`);
    }),
  );
  await context.run('first', () => consumers[0]?.start());
  const producer = createProducer(broker, queue);
  await context.run('send', () => producer.send('a'));
  await untilAsserted(() => expect(seen).toEqual(['a in first: first']));
  await consumers[0]?.stop();
  await consumers[1]?.start();
  await context.run('send', () => producer.send('b'));
  await untilAsserted(() => expect(seen).toEqual(['a in first: first', 'b in undefined: undefined']));
  await broker.remove(queue.name);
});
