import { onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('nightly: each night has one report, whichever scheduler runs, on RabbitMQ', async () => {
  const prefix = uniqueName('nightly');
  onTestFinished(() => removeQueues(prefix));
  await expectAsInReadme('nightly', await linesOf('nightly', '-u', amqpUrl(), '--prefix', prefix));
});
