import { onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('mail: the same over RabbitMQ', async () => {
  const prefix = uniqueName('mail');
  onTestFinished(() => removeQueues(prefix));
  const lines = await linesOf('mail', '-u', amqpUrl(), '--prefix', prefix);
  await expectAsInReadme(
    'mail',
    lines.map((line) => line.replaceAll(prefix, 'mail')),
    { anyOrder: true },
  );
});
