import { randomUUID } from 'node:crypto';
import type { Backend } from '../../broker.js';
import { Deferred, within } from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';
import { defineQueue } from '../../queue.js';
import { unchecked } from '../text-queue.js';
import { type Check, failure, ok, warn } from './check.js';

/** How long the message may take. */
const LIMIT_MS = 10_000;

/**
 * Sends a message through a temporary queue and receives it. If `signal` is aborted during that, its reason is the
 * failure.
 */
export async function roundTrip(broker: Backend, signal: AbortSignal): Promise<Check> {
  const name = `millrace.doctor.${randomUUID()}`;
  const { spec } = defineQueue(name, unchecked(), {
    type: 'classic',
    durable: false,
    exclusive: true,
    autoDelete: true,
    deadLetter: false,
  });
  const wait = { timeoutMs: LIMIT_MS };
  try {
    await broker.declare(spec, wait);
  } catch (error) {
    if (!isQueueError(error, 'ACCESS_REFUSED')) return failure('round trip', error);
    return warn(
      'round trip',
      'skipped: this user may not create queues',
      'run doctor as a user with that permission',
    );
  }
  try {
    const arrival = new Deferred();
    const subscription = await broker.subscribe(name, { prefetch: 1, ...wait }, (delivery) => {
      delivery.ack();
      arrival.resolve();
    });
    try {
      const message = { id: randomUUID(), contentType: 'text/plain', headers: {}, body: 'millrace doctor' };
      const begin = performance.now();
      await broker.publish({ exchange: '', routingKey: name }, message, { ...wait, signal });
      const storedMs = performance.now() - begin;
      await within(arrival.promise, 'the round trip', wait, 'the message was stored, but did not come back');
      const handledMs = performance.now() - begin;
      return ok(
        'round trip',
        `a message was stored in ${Math.ceil(storedMs)} ms and received in ${Math.ceil(handledMs)} ms`,
        { storedMs, handledMs },
      );
    } finally {
      await subscription.close();
    }
  } catch (error) {
    return failure('round trip', signal.aborted ? signal.reason : error);
  }
}
