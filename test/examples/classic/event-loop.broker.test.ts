import { expect, onTestFinished, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';
import { linesOf } from '../support/run-example.js';

test('event-loop runs on RabbitMQ as it does without', async () => {
  const prefix = uniqueName('event-loop');
  onTestFinished(() => removeQueues(prefix));
  const lines = await linesOf('event-loop', '-u', amqpUrl(), '--prefix', prefix);
  expect(lines.sort()).toEqual([
    'click at 3, 4',
    'dead letter scroll-1: invalid',
    'key Enter',
    'no handler for scroll: invalid',
    'timer tick after 20 ms',
  ]);
});
