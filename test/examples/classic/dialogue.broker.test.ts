import { expect, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { linesOf } from '../support/run-example.js';
import { DIALOGUE } from './dialogue-lines.js';

test('dialogue: the speakers take strict turns over RabbitMQ too', async () => {
  const prefix = uniqueName('dialogue');
  expect(await linesOf('dialogue', '-u', amqpUrl(), '--prefix', prefix)).toEqual(DIALOGUE);
  await removeQueues(prefix);
});
