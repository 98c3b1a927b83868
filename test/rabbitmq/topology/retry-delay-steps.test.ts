import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { MAX_DELAY_MS } from '../../../src/common/options.js';
import { isQueueError } from '../../../src/errors.js';
import { defineQueue } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { DELAY_STEPS_MS, delayStepOf } from '../../../src/rabbitmq/topology/retry-delay-steps.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { Inbox } from '../../support/inbox.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('delay-steps');
const failure = { code: 'failed', error: 'connection refused' } as const;
let broker: Backend;

beforeAll(async () => {
  broker = await openRabbitMqBroker([amqpUrl()], {});
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

test('a step is never shorter than the delay, at most twice as long, and there are few', () => {
  expect(DELAY_STEPS_MS.length).toBeLessThanOrEqual(50);
  expect(DELAY_STEPS_MS).toEqual([...DELAY_STEPS_MS].sort((a, b) => a - b));
  fc.assert(
    fc.property(fc.double({ min: 0, max: MAX_DELAY_MS, noNaN: true }), (delayMs) => {
      const step = delayStepOf(delayMs);
      expect(step).toBeGreaterThanOrEqual(delayMs);
      expect(step).toBeLessThanOrEqual(Math.max(10, 2 * delayMs));
      expect(delayMs === 0 || DELAY_STEPS_MS.includes(step)).toBe(true);
    }),
  );
});

test('what servers ask for is kept exactly', () => {
  for (const seconds of [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 86_400]) {
    expect(delayStepOf(seconds * 1000)).toBe(seconds * 1000);
  }
});

async function isThere(queue: string): Promise<boolean> {
  return broker.inspect(queue).then(
    () => true,
    (error) => {
      if (isQueueError(error, 'QUEUE_MISSING')) return false;
      throw error;
    },
  );
}

test('many computed delays share a wait queue, and a listed delay has its own', async () => {
  const { name, spec } = defineQueue(`${prefix}-1`, z.unknown(), {});
  await broker.declare(spec);
  const delays = [171, 176, 180, 186, 192];
  for (const delayMs of delays) {
    const sent = { id: `m${delayMs}`, contentType: 'text/plain', headers: {}, body: 'x' };
    await broker.publish({ exchange: '', routingKey: name }, sent);
  }
  const inbox = await Inbox.open(broker, name, { exactDelaysMs: [176] });
  const deliveries = await inbox.take(delays.length);
  for (const [index, delivery] of deliveries.entries()) {
    if (index % 2 === 0) await delivery.postpone(delays[index] ?? 0);
    else await delivery.retry(delays[index] ?? 0, failure);
  }
  await inbox.ackNext(delays.length);
  const suffixes = ['171', '176', '180', '186', '192', '200', 'step.200'];
  const queues = suffixes.map((suffix) => `${name}.retry.${suffix}`);
  const found: boolean[] = [];
  for (const queue of queues) found.push(await isThere(queue));
  expect(found).toEqual([false, true, false, false, false, false, true]);
  await inbox.subscription.close();
});
