/** The public types of a consumer. */
import type { Failure, MessageHeaders, WaitOptions } from '../broker.js';

/** Handles the messages of one queue. Created by `createConsumer`. */
export interface Consumer extends AsyncDisposable {
  /** The name of the queue. */
  readonly queue: string;
  /** See {@link ConsumerState}. */
  readonly state: ConsumerState;
  /** The outcomes of its messages so far, for metrics. A snapshot: read it again for later counts. */
  readonly counts: ConsumerCounts;
  /**
   * Declares the queue and starts taking messages. After that the subscription survives reconnects. A consumer can be
   * started once. Rejects as declaring and subscribing do; with `TIMEOUT` after `timeoutMs` (default 30,000),
   * `INVALID_OPTION` if the module of the handler can't be loaded, and `CLOSED` if `stop` was called first.
   */
  start(options?: WaitOptions): Promise<void>;
  /**
   * Takes no more messages, returns messages whose handler has not started to the queue at no cost, and lets running
   * handlers finish until the deadline. No handler starts after this call. Always resolves. A second call waits for the
   * first, and brings the deadline forward if its own is earlier.
   */
  stop(options?: StopOptions): Promise<StopResult>;
  /** `stop()`: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
  /**
   * Takes no more messages until `resume`, and returns messages whose handler has not started to the queue at no cost;
   * running handlers continue. Resolves when the messages are returned. A second call waits for the first. A paused
   * consumer keeps the process alive like a running one. Rejects with `CLOSED` if the consumer was not started or has
   * stopped.
   */
  pause(): Promise<void>;
  /**
   * Takes messages again after `pause`, or after the breaker has paused the consumer. Rejects as `start` does, which leaves
   * the consumer paused; with `CLOSED` if the consumer was not started or has stopped.
   */
  resume(options?: WaitOptions): Promise<void>;
  /**
   * Stops this consumer from keeping the process alive, for programs whose main job is something else. A running
   * handler still keeps the process alive through anything it waits for (a timer, a socket, a thread), so the process
   * may wait for running handlers, but not for the messages after them: a busy consumer pauses for a moment about twice
   * a second. Unreferenced waits (`timer.unref()`) keep nothing alive, and the process exits in the middle of them.
   * Messages that were not acknowledged are redelivered if the broker outlives the process. On RabbitMQ the connections
   * keep the process alive until `broker.close()`, unless every consumer of the broker is unreferenced. May be called
   * at any time, also before `start`.
   */
  unref(): void;
  /** Undoes `unref`. */
  ref(): void;
  /**
   * Resolves when the consumer has stopped. Rejects when it can't continue: the queue was deleted and this process may not
   * declare it, or the permission was withdrawn. If nothing reads this property and there is no `observe`, the process
   * emits a warning instead.
   */
  readonly ended: Promise<void>;
  /** Why it has ended on its own, as `ended` rejects with it; undefined otherwise. */
  readonly error: Error | undefined;
}

/**
 * `idle`: before `start`. `starting`: subscribing, even after a pause. `running`: taking messages. `paused`: by `pause`
 * or by its breaker. `stopping`: waiting for running handlers. `stopped`: the end.
 */
export type ConsumerState = 'idle' | 'starting' | 'running' | 'paused' | 'stopping' | 'stopped';

/** Limits for a `stop`. */
export interface StopOptions {
  /**
   * How long running handlers may still take. After that their `signal` is aborted and their messages return to the
   * queue. Milliseconds, `Infinity` for no limit. Default: 30,000.
   */
  readonly deadlineMs?: number | undefined;
}

/** The result of `stop`. */
export interface StopResult {
  /** Handlers that had not finished by the deadline; their messages returned to the queue. */
  readonly unfinished: number;
}

/**
 * Handles one message. Returning, or resolving, acknowledges it. If it throws or rejects, the message is retried after the
 * delay of the policy, and after the last attempt moved to the dead-letter queue. `RejectMessage` moves it there at once,
 * `RetryLater` sets the delay, and `Postpone` delays it without counting an attempt.
 *
 * If the message is a request (it has a `replyTo` and a `correlationId`), the return value is sent as the reply, as
 * JSON. A request that becomes a dead letter is answered with the error's message and code; one that is retried is not
 * answered yet. `ConsumerOptions.replies` says which requests are answered.
 */
export type Handler<Out> = (value: Out, context: HandlerContext) => unknown;

/** The properties of a received message, except its value. */
export interface MessageInfo {
  /** The name of the queue. */
  readonly queue: string;
  /** The exchange that the message was published to; `''`: the default exchange. Retries and replays keep it. */
  readonly exchange: string;
  /** The routing key that it was published with: on the default exchange, the name of the queue. */
  readonly routingKey: string;
  /** Chosen by the sender: deduplicate by it. */
  readonly id: string;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Whether this message may have been handled before, wholly or in part. */
  readonly redelivered: boolean;
  /** The sender's headers, and those of the toolkit (`x-millrace-…`). */
  readonly headers: MessageHeaders;
  /** When the sender created the message, in milliseconds since the epoch. */
  readonly timestamp: number | undefined;
  /** The kind of message, set by its sender. */
  readonly type: string | undefined;
  /** The program that sent it, as it calls itself. */
  readonly appId: string | undefined;
  /** The user who sent it, verified by RabbitMQ. Unset after a retry there. */
  readonly userId: string | undefined;
  /**
   * When the message expires, in milliseconds since the epoch; a running handler may see a time in the past. For messages of
   * other RabbitMQ clients it is an upper bound.
   */
  readonly expiresAt: number | undefined;
  /** Set on requests, or by the sender. */
  readonly correlationId: string | undefined;
  /** The address for the reply to a request. `createConsumer` replies to it automatically, `receive` does not. */
  readonly replyTo: string | undefined;
}

/** The second argument of a handler. */
export interface HandlerContext extends MessageInfo {
  /**
   * Aborted when the result no longer counts: the time limit has passed, the message was taken away, or the
   * consumer's deadline for stopping has passed. Pass it on to the operations that the handler waits for.
   */
  readonly signal: AbortSignal;
}

/** The outcomes of a consumer's deliveries since it was created. The counts never decrease. */
export interface ConsumerCounts {
  /** Handled and acknowledged. */
  readonly handled: number;
  /** Failed attempts whose message is stored for another attempt. */
  readonly retried: number;
  /** Postponed by their handlers, which does not count as an attempt. */
  readonly postponed: number;
  /** Moved to the dead-letter queue. */
  readonly deadLettered: number;
  /** Dropped because they expired before their handler began; see `onExpired` of the queue. */
  readonly expired: number;
  /** Returned to the queue because the consumer stops or pauses, or because they waited too long for their turn (`rate`). */
  readonly released: number;
  /** Lost before they were settled, with their connection; they are redelivered. */
  readonly lost: number;
  /** Returned to the queue because their retry or dead letter could not be stored. */
  readonly settleFailed: number;
  /** Arrived with `redelivered` set. The other counts include them. */
  readonly redelivered: number;
}

/** The outcome of one delivery, or a change of the consumer, for logs, metrics and tests. */
export type ConsumerEvent =
  /** The handler returned and the message was acknowledged. */
  | ({ readonly type: 'handled' } & DeliveryInfo)
  /** The attempt failed; the message is stored for another one after `delayMs`. */
  | ({ readonly type: 'retried'; readonly delayMs: number } & FailureInfo & DeliveryInfo)
  /** The handler threw `Postpone`: the message is stored, and redelivered after `delayMs` with the same `attempt`. */
  | ({ readonly type: 'postponed'; readonly delayMs: number; readonly error: unknown } & DeliveryInfo)
  /** The message was moved to the dead-letter queue. */
  | ({ readonly type: 'dead-lettered' } & FailureInfo & DeliveryInfo)
  /**
   * The handler, or the schema before it, has used 80 % of its time. After another `leftMs` its signal is aborted: at the
   * limit `'handler'` (`handlerTimeoutMs`) the attempt fails, at the limit `'broker'` the message is lost and redelivered.
   * The broker's limit is known if the queue was declared by this process with `x-consumer-timeout`.
   */
  | ({
      readonly type: 'slow';
      readonly limit: 'handler' | 'broker';
      readonly leftMs: number;
    } & DeliveryInfo)
  /** The message was dropped because it expired before its handler began. */
  | ({ readonly type: 'expired' } & DeliveryInfo)
  /**
   * The message returned to its queue because the consumer stops or pauses, or because it waited too long for its turn
   * (`rate`).
   */
  | ({ readonly type: 'released' } & DeliveryInfo)
  /** The message was lost before it was settled, with its connection; it is redelivered. */
  | ({ readonly type: 'lost'; readonly error: Error } & DeliveryInfo)
  /** Storing the retry or the dead letter failed; the message returned to its queue. */
  | ({ readonly type: 'settle-failed'; readonly error: Error } & DeliveryInfo)
  /**
   * The reply to a request can't be stored: the broker refused it or did not take it in time, or the queue that the request
   * names does not exist. The outcome of the message is an event of its own. A requester that is gone is no event.
   */
  | ({ readonly type: 'reply-failed'; readonly error: Error } & DeliveryInfo)
  /** The consumer takes no messages: `pause` was called, or its breaker has opened for `forMs` milliseconds. */
  | { readonly type: 'paused'; readonly queue: string; readonly forMs: number | undefined }
  /** The consumer takes messages again. */
  | { readonly type: 'resumed'; readonly queue: string }
  /** The consumer can't continue: its queue was deleted or its permission withdrawn. See `Consumer.ended`. */
  | { readonly type: 'ended'; readonly queue: string; readonly error: Error };

interface DeliveryInfo {
  readonly queue: string;
  readonly id: string;
  readonly attempt: number;
  readonly redelivered: boolean;
}

interface FailureInfo {
  readonly failure: Failure;
  /** The error of the handler or the schema, if the attempt failed because of it. */
  readonly error?: unknown;
}
