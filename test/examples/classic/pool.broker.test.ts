import { onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { linesOf } from '../support/run-example.js';
import { expectPool } from './pool-lines.js';

test('pool does the same on RabbitMQ', async () => {
  const prefix = uniqueName('pool');
  onTestFinished(() => removeQueues(prefix));
  expectPool(await linesOf('pool', '-u', amqpUrl(), '--prefix', prefix), { killed: true });
});
