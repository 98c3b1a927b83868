import { onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('csv-import: the same over RabbitMQ', async () => {
  const prefix = uniqueName('csv-import');
  onTestFinished(() => removeQueues(prefix));
  const lines = await linesOf('csv-import', '-u', amqpUrl(), '--prefix', prefix);
  await expectAsInReadme(
    'csv-import',
    lines.map((line) => line.replaceAll(prefix, 'csv-import')),
    { anyOrder: true },
  );
});
