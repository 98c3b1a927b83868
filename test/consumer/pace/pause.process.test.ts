import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { openMemoryBroker } from '../../../src/local-queue/memory/broker.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { aroundBroker } from '../../../src/testing/around-broker.js';
import { eventually } from '../../support/eventually.js';

test('a paused consumer keeps its process alive, as it did before', async () => {
  const program = fileURLToPath(new URL('../programs/paused.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  expect(stdout).toBe('still there\n');
});

test('a paused consumer closes its subscription when its last handler has ended, and not before', async () => {
  const memory = openMemoryBroker();
  let closed = 0;
  const broker = {
    ...aroundBroker(memory, {}),
    subscribe: async (...args: Parameters<typeof memory.subscribe>) => {
      const subscription = await memory.subscribe(...args);
      const { close } = subscription;
      return Object.assign(subscription, {
        close: () => {
          closed++;
          return close.call(subscription);
        },
      });
    },
  };
  const queue = defineQueue('orders', z.string());
  const running: (() => void)[] = [];
  const consumer = createConsumer(broker, queue, () => new Promise<void>((end) => running.push(end)), {
    concurrency: 2,
  });
  await consumer.start();
  await createProducer(broker, queue).sendMany(['a', 'b']);
  await eventually(() => running.length === 2);

  await consumer.pause();
  running[0]?.();
  await eventually(() => consumer.counts.handled === 1);
  expect(closed).toBe(0);
  running[1]?.();
  await eventually(() => closed === 1);
  expect(consumer.counts.handled).toBe(2);
  await consumer.stop();
  await memory.close();
});
