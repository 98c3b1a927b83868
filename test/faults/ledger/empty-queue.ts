import { expect } from 'vitest';
import type { Broker } from '../../../src/broker.js';
import type { HandlerContext } from '../../../src/consumer/consumer.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import type { Queue } from '../../../src/queue.js';
import { untilAsserted } from '../../support/eventually.js';
import type { Handling } from '../../support/ledger.js';
import type { Grain } from './senders.js';

const LIMIT = { timeoutMs: 30_000 };

/**
 * Handles what is left when all consumers are gone, which can be copies only. Then there is nothing, and there has
 * been no dead letter.
 */
export async function emptyQueue(
  broker: Broker,
  queue: Queue<Grain>,
  onHandled: (handling: Handling) => void,
): Promise<void> {
  const stats = () => broker.inspect(queue.name);
  // While a delivery is unsettled, its consumer counts.
  await untilAsserted(async () => expect((await stats()).consumers).toBe(0), LIMIT);
  const consumer = createConsumer(broker, queue, (_, context) => onHandled(handlingOf(context)), {
    prefetch: 100,
  });
  await consumer.start();
  await untilAsserted(async () => expect((await stats()).ready).toBe(0), LIMIT);
  await consumer.stop();
  await untilAsserted(async () => expect(await stats()).toMatchObject({ ready: 0, consumers: 0 }), LIMIT);
  const { deadLetter } = queue.spec;
  if (deadLetter) expect((await broker.inspect(deadLetter.queue)).ready).toBe(0);
}

export function handlingOf({ id, attempt, redelivered, headers }: HandlerContext): Handling {
  return { id, attempt, redelivered, resent: headers['x-millrace-resent'] !== undefined };
}
