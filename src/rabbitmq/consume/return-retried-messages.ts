import type { QueueSubscription, WaitOptions } from '../../broker.js';
import { onAbort, pause } from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';
import type { RabbitMqDelivery } from './delivery.js';

const TRY_AGAIN_MS = 5_000;

const DECLARE_AGAIN_MS = 100;

/** How many messages are moved back at once. Most of the time they wait for room. */
const PREFETCH = 10;

export interface RetriedMessages {
  /** The queue that they belong to. */
  readonly queue: string;
  /** Resolves to the name of the queue that holds them after their wait, once there is one. */
  readonly readyQueue: (wait: WaitOptions) => Promise<string>;
  readonly subscribe: (
    readyQueue: string,
    options: WaitOptions & { readonly prefetch: number },
    onDelivery: (delivery: RabbitMqDelivery) => void,
  ) => Promise<QueueSubscription>;
}

/**
 * Moves the retried messages of a queue back to it when their delay is over and there is room, until the signal is
 * aborted. Never rejects: if it fails, the broker moves them itself after a while.
 */
export async function returnRetriedMessages(
  { queue, readyQueue, subscribe }: RetriedMessages,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const ready = await readyQueue({ signal });
      const subscription = await subscribe(ready, { prefetch: PREFETCH, signal }, (delivery) => {
        void delivery.bringBackTo(queue);
      });
      const close = () => void subscription.close();
      if (signal.aborted) close();
      const unlisten = onAbort(signal, close);
      await subscription.ended.finally(unlisten);
      return;
    } catch (error) {
      // The queue was deleted. The broker retries what it can't route there only after minutes.
      await pause(isQueueError(error, 'QUEUE_MISSING') ? DECLARE_AGAIN_MS : TRY_AGAIN_MS, signal);
    }
  }
}
