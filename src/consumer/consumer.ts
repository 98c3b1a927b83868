/** The public types of a consumer. `createConsumer` makes one. */
import type { Failure, MessageHeaders, WaitOptions } from '../broker.js';

/** Handles the messages of one queue. Made by `createConsumer`. */
export interface Consumer extends AsyncDisposable {
  /** The name of the queue. */
  readonly queue: string;
  /** See {@link ConsumerState}. */
  readonly state: ConsumerState;
  /** What became of its messages so far, for metrics. A copy: read it again for later numbers. */
  readonly counts: ConsumerCounts;
  /**
   * Declares the queue and begins to take messages. From then on the subscription renews itself after whatever
   * happens to the link. A consumer is started once.
   * Rejects with what declaring and subscribing reject with, `TIMEOUT` after `timeoutMs` (default 30 000),
   * `INVALID_OPTION` where the module of the handler can't be loaded, `CLOSED` where `stop` came first.
   */
  start(options?: WaitOptions): Promise<void>;
  /**
   * Takes no more messages, returns those whose handler has not started to the queue at no cost, and lets the running
   * handlers finish until the deadline. No handler begins after this call. Always resolves. A second call waits for
   * the same end, and brings the deadline forward if its own is earlier.
   */
  stop(options?: StopOptions): Promise<StopResult>;
  /** `stop()`: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
  /**
   * Takes no more messages until `resume`, and returns those whose handler has not started to the queue at no cost; the
   * running handlers go on. Resolves when that has happened. A second call waits for the same. A consumer that is paused
   * keeps the process alive as one that runs does. Rejects with `CLOSED` if the consumer was not started or has stopped.
   */
  pause(): Promise<void>;
  /**
   * Takes messages again after `pause`, or after the breaker has paused the consumer. Rejects as `start` does, and the
   * consumer stays paused then; with `CLOSED` if the consumer was not started or has stopped.
   */
  resume(options?: WaitOptions): Promise<void>;
  /**
   * From now on this consumer does not keep the process alive: it assists a program that does something else. When
   * that is done the process ends. A running handler keeps it alive by what it waits for (a timer, a socket, a thread),
   * so the end may wait for the running handlers, but not for the messages after them: a consumer that is always busy
   * pauses for a moment about twice a second. Waits that are unreferenced themselves (`timer.unref()`) keep nothing
   * alive, and the process ends in the middle of them. What was not acknowledged is delivered again if the broker
   * outlives the process. On RabbitMQ the connections keep the process alive until `broker.close()`, unless every
   * consumer of the broker is unreferenced. May be called at any time, also before `start`.
   */
  unref(): void;
  /** Reverts `unref`. */
  ref(): void;
  /**
   * Resolves when the consumer has stopped. Rejects when it can't go on: the queue was deleted and is not ours to
   * declare, or the permission was revoked. If nobody reads this property and there is no `observe`, the process
   * emits a warning instead.
   */
  readonly ended: Promise<void>;
  /** Why it has ended by itself, as `ended` rejects with it; undefined otherwise. */
  readonly error: Error | undefined;
}

/**
 * `idle` until `start`; `running` while it takes messages; `paused` after `pause`, or by its breaker, and `starting` again
 * while it resumes; `stopping` while handlers finish; `stopped` for good.
 */
export type ConsumerState = 'idle' | 'starting' | 'running' | 'paused' | 'stopping' | 'stopped';

/** What bounds a `stop`. */
export interface StopOptions {
  /**
   * How long running handlers may still take. After that their `signal` is aborted and their messages go back to
   * the queue. Milliseconds, `Infinity` for no limit. Default: 30 000.
   */
  readonly deadlineMs?: number | undefined;
}

/** What `stop` resolves to. */
export interface StopResult {
  /** Handlers that had not finished by the deadline; their messages went back to the queue. */
  readonly unfinished: number;
}

/**
 * Handles one message. Returning, or resolving, acknowledges it. Throwing, or rejecting, has it retried after
 * the delay of the policy, and after the last attempt moved to the dead-letter queue; throwing `RejectMessage`
 * moves it there now, `RetryLater` names the delay, and `Postpone` puts it off without counting an attempt.
 *
 * If the message is a request (it has a `replyTo` and a `correlationId`), the return value is sent as the reply, as
 * JSON. A request that becomes a dead letter is answered with the error's message and code; one that is retried is
 * not answered yet. `ConsumerOptions.replies` says whose requests are answered.
 */
export type Handler<Out> = (value: Out, context: HandlerContext) => unknown;

/** What receivers know about a message besides its value. */
export interface MessageInfo {
  /** The name of the queue. */
  readonly queue: string;
  /** The exchange that the message was published to; `''`: the default exchange. Retries and replays keep it. */
  readonly exchange: string;
  /** The routing key that it was published with: on the default exchange, the name of the queue. */
  readonly routingKey: string;
  /** The sender's id for the message: dedupe by it. */
  readonly id: string;
  /** 1 on the first try. */
  readonly attempt: number;
  /** Whether this message may have been handled before, wholly or in part. */
  readonly redelivered: boolean;
  /** The sender's headers, and those of the toolkit (`x-millrace-…`). */
  readonly headers: MessageHeaders;
  /** When the sender made the message, in milliseconds since the epoch. */
  readonly timestamp: number | undefined;
  /** What kind of message this is, as its sender says. */
  readonly type: string | undefined;
  /** The program that sent it, as it calls itself. */
  readonly appId: string | undefined;
  /** The user who sent it, which RabbitMQ has checked. Unset after a retry there. */
  readonly userId: string | undefined;
  /**
   * When the message becomes worthless, in milliseconds since the epoch; it is past while a handler runs that began before.
   * For a message of another client of RabbitMQ: at the latest.
   */
  readonly expiresAt: number | undefined;
  /** Set on requests, or by the sender. */
  readonly correlationId: string | undefined;
  /** The address for the reply to a request. `createConsumer` replies to it by itself, `receive` does not. */
  readonly replyTo: string | undefined;
}

/** What a handler knows about the message besides its value. */
export interface HandlerContext extends MessageInfo {
  /**
   * Aborted when the result no longer counts: the time limit has passed, the message was taken away, or the
   * consumer's deadline for stopping has passed. Pass it on to what the handler waits for.
   */
  readonly signal: AbortSignal;
}

/** What became of a consumer's deliveries since it was made. The numbers only grow. */
export interface ConsumerCounts {
  /** Handled and acknowledged. */
  readonly handled: number;
  /** Attempts that failed and are stored for another one. */
  readonly retried: number;
  /** Put off by their handlers, which does not count as an attempt. */
  readonly postponed: number;
  /** Moved to the dead-letter queue. */
  readonly deadLettered: number;
  /** Dropped, since their time was over before their handler began; see `onExpired` of the queue. */
  readonly expired: number;
  /** Returned to the queue because the consumer stops or pauses, or because it has waited too long for its turn (`rate`). */
  readonly released: number;
  /** Taken away before they were settled, by a lost link; they are delivered again. */
  readonly lost: number;
  /** Returned to the queue because their retry or dead letter could not be stored. */
  readonly settleFailed: number;
  /** Arrived marked as possibly handed out before. The other numbers count them, too. */
  readonly redelivered: number;
}

/** What became of one delivery, or of the consumer: for logs, metrics and tests. */
export type ConsumerEvent =
  /** The handler returned and the message was acknowledged. */
  | ({ readonly type: 'handled' } & DeliveryInfo)
  /** The attempt failed; the message is stored for another one after `delayMs`. */
  | ({ readonly type: 'retried'; readonly delayMs: number } & FailureInfo & DeliveryInfo)
  /** The handler threw `Postpone`: the message is stored, and comes again after `delayMs` with the same `attempt`. */
  | ({ readonly type: 'postponed'; readonly delayMs: number; readonly error: unknown } & DeliveryInfo)
  /** The message was moved to the dead-letter queue. */
  | ({ readonly type: 'dead-lettered' } & FailureInfo & DeliveryInfo)
  /**
   * The handler, or the schema before it, has used up 80 % of its time. After another `leftMs` its signal is aborted:
   * at the limit `'handler'` (`handlerTimeoutMs`) the attempt has failed, at the limit `'broker'` the message is lost
   * and delivered again. The broker's limit is known if the queue was declared here with `x-consumer-timeout`.
   */
  | ({
      readonly type: 'slow';
      readonly limit: 'handler' | 'broker';
      readonly leftMs: number;
    } & DeliveryInfo)
  /** The message was dropped: its time was over before its handler began. */
  | ({ readonly type: 'expired' } & DeliveryInfo)
  /** The message went back to its queue because the consumer stops or pauses, or because it has waited too long for its turn (`rate`). */
  | ({ readonly type: 'released' } & DeliveryInfo)
  /** The message was taken from this consumer before it was settled, by a lost link; it is delivered again. */
  | ({ readonly type: 'lost'; readonly error: Error } & DeliveryInfo)
  /** Storing the retry or the dead letter failed; the message went back to its queue. */
  | ({ readonly type: 'settle-failed'; readonly error: Error } & DeliveryInfo)
  /** The consumer takes no more messages: `pause` was called, or its breaker has opened for `forMs`. */
  | { readonly type: 'paused'; readonly queue: string; readonly forMs: number | undefined }
  /** The consumer takes messages again. */
  | { readonly type: 'resumed'; readonly queue: string }
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
  /** What the handler or the schema threw, if that is why the attempt failed. */
  readonly error?: unknown;
}
