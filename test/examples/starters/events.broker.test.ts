import { onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { linesOf } from '../support/run-example.js';
import { expectEvents } from './events-lines.js';

test('events does the same on RabbitMQ', async () => {
  const prefix = uniqueName('shop');
  onTestFinished(() => removeQueues(prefix));
  expectEvents(await linesOf('events', '-u', amqpUrl(), '--prefix', prefix));
});
