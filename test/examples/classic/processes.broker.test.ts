import { onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { Example } from '../support/run-example.js';
import { expectProcesses } from './processes-lines.js';

test('processes: all jobs are done though a consumer is killed, and the producer ends by itself, on RabbitMQ', async () => {
  const prefix = uniqueName('processes');
  onTestFinished(() => removeQueues(prefix));
  await expectProcesses(new Example('processes', '-u', amqpUrl(), '--prefix', prefix));
});
