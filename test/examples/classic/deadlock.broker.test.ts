import { expect, onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { linesOf } from '../support/run-example.js';

test('deadlock: keys held together finish on RabbitMQ, too', async () => {
  const prefix = uniqueName('deadlock');
  onTestFinished(() => removeQueues(prefix));
  const [, keyed] = await linesOf('deadlock', '-u', amqpUrl(), '--prefix', prefix);
  expect(keyed).toMatch(/finished with 10000 of 10000 done, 0 clashes/);
});
