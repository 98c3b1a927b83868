import type { Failure } from '../broker.js';

/** What became of one delivery, or of the consumer: for logs, metrics and tests. */
export type ConsumerEvent =
  /** The handler returned and the message was acknowledged. */
  | ({ readonly type: 'handled' } & DeliveryInfo)
  /** The attempt failed; the message is stored for another one after `delayMs`. */
  | ({ readonly type: 'retried'; readonly delayMs: number } & FailureInfo & DeliveryInfo)
  /** The message was moved to the dead-letter queue. */
  | ({ readonly type: 'dead-lettered' } & FailureInfo & DeliveryInfo)
  /**
   * The handler has used up 80 % of its time. When `leftMs` more are over its signal is aborted: at the limit
   * `'handler'` (`handlerTimeoutMs`) the attempt has failed, at the limit `'broker'` the message is lost and comes
   * again. The broker's is known where the queue was declared with `x-consumer-timeout` here.
   */
  | ({
      readonly type: 'slow';
      readonly limit: 'handler' | 'broker';
      readonly leftMs: number;
    } & DeliveryInfo)
  /** The message went back to its queue because the consumer stops. */
  | ({ readonly type: 'released' } & DeliveryInfo)
  /** The message was taken from this consumer before it was settled, by a lost link; it comes again. */
  | ({ readonly type: 'lost'; readonly error: Error } & DeliveryInfo)
  /** Storing the retry or the dead letter failed; the message went back to its queue. */
  | ({ readonly type: 'settle-failed'; readonly error: Error } & DeliveryInfo)
  /** The consumer can't go on: its queue or its permission is gone. See `Consumer.ended`. */
  | { readonly type: 'ended'; readonly queue: string; readonly error: Error };

interface DeliveryInfo {
  readonly queue: string;
  readonly id: string;
  readonly attempt: number;
  readonly redelivered: boolean;
}

interface FailureInfo {
  readonly failure: Failure;
  /** What the handler threw, where it was the handler that failed. */
  readonly error?: unknown;
}
