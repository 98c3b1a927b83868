/** The subscriber's part of the seam: its subscription, and the deliveries that it settles. */
import type { Failure, Message } from './message.js';

/** Limits for a wait. */
export interface WaitOptions {
  /** Ends the wait with `ABORTED`. If it is aborted before the call, nothing is done. */
  readonly signal?: AbortSignal | undefined;
  /** How long to wait, in milliseconds; then `TIMEOUT`. Default at this level: `Infinity`. */
  readonly timeoutMs?: number | undefined;
}

/** How a subscriber takes messages, and the limits for starting its subscription. */
export interface SubscribeOptions extends WaitOptions {
  /** The maximum number of unsettled deliveries of this subscriber: 1 to 65535 (a quorum queue caps it at 2000). */
  readonly prefetch: number;
  /**
   * How many deliveries this subscriber handles at once; further ones wait in its process. A RabbitMQ queue with a
   * single active consumer delivers no more than these, so that the next consumer need not overtake waiting messages.
   * Default: `prefetch`.
   */
  readonly concurrency?: number | undefined;
  /**
   * Subscribers with a higher priority receive messages first, as long as their `prefetch` has room. RabbitMQ only
   * (`x-priority`); local brokers refuse it. Default: 0.
   */
  readonly priority?: number | undefined;
  /**
   * Protects the messages that this subscriber returns from the queue's delivery limit: a message that comes near the
   * limit is put at the end of its queue as if it had never been delivered. This matters only on RabbitMQ before 4.3,
   * which counts a return as a failure. For subscribers that inspect messages without handling them. Default: false.
   */
  readonly sparesLimit?: boolean | undefined;
  /**
   * Delays, in milliseconds, that are kept exactly when a delivery of this subscriber is retried or postponed. On
   * RabbitMQ each distinct delay takes a wait queue that is never removed, so a delay that is not listed here is rounded
   * up to one of about forty. Local brokers keep every delay exactly. Default: none.
   */
  readonly exactDelaysMs?: readonly number[] | undefined;
  /**
   * Called when the subscriber loses an unsettled delivery: its connection was lost, the broker's time limit for it
   * passed, or the broker was closed here. The message will be redelivered, to any subscriber. Not called for
   * deliveries that the subscription's own `close` returns. Must not throw.
   */
  readonly onLost?: ((delivery: Delivery, reason: Error) => void) | undefined;
}

/** A subscription to a queue. It survives reconnects: the backend renews it automatically. */
export interface QueueSubscription {
  /** Stops further deliveries; outstanding ones may still be settled. Always resolves. */
  cancel(): Promise<void>;
  /** As `cancel`, and returns unsettled messages to the queue, marked `redelivered`. Always resolves. */
  close(): Promise<void>;
  /**
   * Resolves when the subscription is closed, by `close` or by the broker's `close`. Rejects when it can't
   * continue: the queue was deleted and this broker may not declare it (`QUEUE_MISSING`), or the permission was
   * withdrawn (`ACCESS_REFUSED`). Ignoring it causes no unhandled rejection.
   */
  readonly ended: Promise<void>;
  /**
   * Stops the subscription from keeping the process alive. If a broker has subscriptions and all of them are
   * unreferenced, its connections do not keep the process alive either, except during a publish or a request.
   */
  unref(): void;
  /** Undoes `unref`. */
  ref(): void;
}

/**
 * A message that was delivered to one subscriber. The subscriber owns it until one of the five methods settles it, or
 * until it is lost (see {@link SubscribeOptions.onLost}); settling it again, or after it was lost, has no effect. A
 * settlement is sent on the connection that the delivery came from, never on a later one.
 */
export interface Delivery {
  /** The message as it was published, plus the headers that retries add. */
  readonly message: Message;
  /** True if its sender gave it no id: then `message.id` differs from delivery to delivery. */
  readonly hasGeneratedId?: boolean | undefined;
  /**
   * 1 for the first attempt; incremented by each retry and, if the backend counts them, by each delivery whose process
   * died.
   */
  readonly attempt: number;
  /** Whether this message may have been delivered before; if false, it certainly was not. */
  readonly redelivered: boolean;
  /**
   * How long the broker waits for a settlement, from `receivedAt` on, before it takes the message back; the delivery is
   * then lost. Milliseconds. Undefined if there is no such limit, or if it is unknown: RabbitMQ does not report its
   * default, but quorum queues may be declared with a limit (`x-consumer-timeout`).
   */
  readonly settleWithinMs?: number | undefined;
  /** When it arrived, on the clock of `performance.now()`; set together with `settleWithinMs`. */
  readonly receivedAt?: number | undefined;
  /** Removes the message: it was handled. */
  ack(): void;
  /**
   * Has the message redelivered after `delayMs` (0: at once) with `attempt` incremented; other messages are not held
   * up. Never waits for room in the message's own queue. Resolves when the retry is stored; if storing it fails, the
   * message returns to its queue and the promise rejects.
   */
  retry(delayMs: number, failure: Failure): Promise<void>;
  /**
   * Like `retry`, but not as a failure: `attempt` is not incremented. The message's header `x-millrace-postpones` counts
   * how often this happened.
   */
  postpone(delayMs: number): Promise<void>;
  /**
   * Moves the message to its queue's dead-letter queue, with headers that say why, or drops it if the queue was
   * declared without one. Resolves when the dead letter is stored; waits while the dead-letter queue is full. If
   * storing it fails, the message returns to its queue and the promise rejects.
   */
  deadLetter(failure: Failure): Promise<void>;
  /** Returns the message to its queue at no cost: `attempt` is not incremented. */
  release(): void;
}

/** A request for handler starts, which are counted over all consumers of a queue. */
export interface StartsRequest {
  /** The name of the queue. */
  readonly queue: string;
  /** Each key of a queue has its own count. */
  readonly key: string;
  /** At most this many starts in any span of `perMs`. */
  readonly limit: number;
  /** Milliseconds. */
  readonly perMs: number;
  /** How many starts are requested. 0: the request only reports the use of earlier ones. */
  readonly count: number;
  /** For how long after the call the granted starts may be used: up to 60,000 milliseconds. */
  readonly validMs: number;
  /** An earlier grant that will not be used any further. One that is never ended counts as used at its last moment. */
  readonly ended?:
    | {
        /** As it was granted. */
        readonly grant: number;
        /** As it was granted. */
        readonly count: number;
        /** How long ago each start was that was used, in milliseconds. */
        readonly usedMsAgo: readonly number[];
      }
    | undefined;
}

/** The answer to a {@link StartsRequest}. */
export interface StartsGrant {
  /** For `ended`. */
  readonly grant: number;
  /** How many handlers may begin. */
  readonly count: number;
  /** If none may: how long to wait before asking again, in milliseconds. */
  readonly waitMs: number;
}
