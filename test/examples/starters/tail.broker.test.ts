import { onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { linesOf } from '../support/run-example.js';
import { expectTail } from './tail-lines.js';

test('tail does the same on RabbitMQ', async () => {
  const prefix = uniqueName('mill');
  onTestFinished(() => removeQueues(prefix));
  expectTail(await linesOf('tail', '-u', amqpUrl(), '--prefix', prefix));
});
