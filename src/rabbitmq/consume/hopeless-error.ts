import { isQueueError, type QueueError } from '../../errors.js';
import { isLocked, isNotFound, queueError } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import type { Topology } from '../topology/topology.js';

/**
 * The error that ends a subscription whose attempt to subscribe again has failed; undefined if another attempt may
 * help. Declares a deleted queue again.
 */
export async function hopelessError(
  error: unknown,
  queue: string,
  connection: Connection | undefined,
  topology: Topology,
): Promise<QueueError | undefined> {
  const what = `subscribing to '${queue}' again`;
  // The broker may not have noticed yet that the connection that held the queue is gone.
  if (isLocked(error) && topology.specOf(queue)?.exclusive) return undefined;
  if (!isNotFound(error)) {
    const failure = queueError(error, what, queue);
    return isQueueError(failure, 'ACCESS_REFUSED', 'CLOSED') ? failure : undefined;
  }
  if (connection === undefined) return undefined;
  try {
    const isRestored = await topology.restoreQueue(connection, queue);
    return isRestored ? undefined : queueError(error, what, queue);
  } catch (refusal) {
    const failure = queueError(refusal, what, queue);
    return isQueueError(failure, 'ACCESS_REFUSED') ? failure : undefined;
  }
}
