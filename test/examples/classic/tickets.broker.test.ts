import { expect, onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { linesOf } from '../support/run-example.js';

test('tickets: the process that owns them sells each once over RabbitMQ, too', async () => {
  const prefix = uniqueName('tickets');
  onTestFinished(() => removeQueues(prefix));
  const lines = await linesOf('tickets', '-u', amqpUrl(), '--prefix', prefix);
  expect(lines[3]).toMatch(/: opera 10\/10, circus 10\/10, match 10\/10, lecture 10\/10; 40 buyers happy$/);
});
