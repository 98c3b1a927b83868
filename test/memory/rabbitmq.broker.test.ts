import { expect, test } from 'vitest';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { MIB, runSlowConsumer } from './run-slow-consumer.js';

test('200,000 messages to a slow consumer on RabbitMQ keep memory within 100 MiB of its start', async () => {
  const report = await runSlowConsumer(amqpUrl(), uniqueName('slow'), 200_000);

  expect(report.handled).toBe(200_000);
  expect(report.left).toBe(0);
  expect(report.peakBytes - report.startBytes).toBeLessThan(100 * MIB);
});
