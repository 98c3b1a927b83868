import { isQueueError, type QueueError } from '../../errors.js';
import { isLocked, isNotFound, queueError } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import type { Topology } from '../topology/topology.js';

/**
 * Called when an attempt to subscribe again has failed. A queue that was deleted is restored (see `LostQueues`). Resolves
 * to the error that ends the subscription; to undefined if another attempt may help.
 */
export async function resubscribeFailure(
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
    const isRestored = await topology.lost.restoreQueue(connection, queue);
    return isRestored ? undefined : queueError(error, what, queue);
  } catch (refusal) {
    const failure = queueError(refusal, what, queue);
    return isQueueError(failure, 'ACCESS_REFUSED') ? failure : undefined;
  }
}
