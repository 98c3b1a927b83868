import { onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('web-api: the same over RabbitMQ', async () => {
  const prefix = uniqueName('web-api');
  onTestFinished(() => removeQueues(prefix));
  const lines = await linesOf('web-api', '-u', amqpUrl(), '--prefix', prefix);
  await expectAsInReadme(
    'web-api',
    lines.map((line) => line.replaceAll(prefix, 'web-api')),
    { anyOrder: true },
  );
});
