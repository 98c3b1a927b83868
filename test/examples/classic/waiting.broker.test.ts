import { expect, onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { linesOf } from '../support/run-example.js';

test('waiting: the worker processes do their part on RabbitMQ', async () => {
  const prefix = uniqueName('waiting');
  onTestFinished(() => removeQueues(prefix));
  const lines = await linesOf('waiting', '-u', amqpUrl(), '--prefix', prefix);
  expect(lines[2]).toMatch(/^in 2 processes .* [\d.]+ s$/);
});
