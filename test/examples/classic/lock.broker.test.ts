import { onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { linesOf } from '../support/run-example.js';
import { expectLocked } from './lock-lines.js';

test('lock: processes oversell without it, never with it, and a killed holder frees it, on RabbitMQ', async () => {
  const prefix = uniqueName('lock');
  onTestFinished(() => removeQueues(prefix));
  expectLocked(await linesOf('lock', '-u', amqpUrl(), '--prefix', prefix));
});
