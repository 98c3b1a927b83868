/**
 * The error codes. The set is closed: every rejection of the toolkit is a {@link QueueError} with
 * one of these.
 *
 * | code | meaning |
 * |---|---|
 * | `INVALID_OPTION` | an argument or option is invalid; nothing was done |
 * | `INVALID_MESSAGE` | the value fails its schema or can't be encoded; nothing was sent |
 * | `TOO_LARGE` | the encoded message is over the size limit; nothing was sent |
 * | `FULL` | there is no room at the moment and the caller asked not to wait; nothing was stored |
 * | `TIMEOUT` | the time limit passed before there was room, or before the peer responded; nothing was stored |
 * | `ABORTED` | the caller's signal was aborted first; nothing was stored |
 * | `UNROUTABLE` | no queue accepts the message; nothing was stored |
 * | `REFUSED` | the broker refused the message (a negative confirm); nothing was stored |
 * | `UNCONFIRMED` | the message was sent and its outcome is unknown: it may have been stored |
 * | `QUEUE_MISSING` | the queue, or an exchange that it is bound to, does not exist |
 * | `QUEUE_MISMATCH` | the queue or the exchange exists, but its properties differ from the definition |
 * | `UNREACHABLE` | no broker responded at any of the addresses, or a folder could not be opened in time |
 * | `ACCESS_REFUSED` | the broker refused the user, the password, the virtual host or the permission |
 * | `BROKER_ERROR` | the broker responded with an error that has no code in this table |
 * | `STORAGE_FULL` | the disk is full; nothing was stored, and what was stored before is intact |
 * | `STORAGE_ERROR` | the folder of the queue on disk can't be used: damaged, of another program or version, not permitted |
 * | `REMOTE_ERROR` | the handler of a request has failed for good, or its reply can't be used |
 * | `DEADLOCK` | a handler made a request that only it could answer, and would wait for itself; nothing was sent |
 * | `UNSUPPORTED` | this broker can't do that; the message says which can, or what is required |
 * | `CLOSED` | the queue, the broker or the consumer was closed |
 */
export type QueueErrorCode =
  | 'INVALID_OPTION'
  | 'INVALID_MESSAGE'
  | 'TOO_LARGE'
  | 'FULL'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'UNROUTABLE'
  | 'REFUSED'
  | 'UNCONFIRMED'
  | 'QUEUE_MISSING'
  | 'QUEUE_MISMATCH'
  | 'UNREACHABLE'
  | 'ACCESS_REFUSED'
  | 'BROKER_ERROR'
  | 'STORAGE_FULL'
  | 'STORAGE_ERROR'
  | 'REMOTE_ERROR'
  | 'DEADLOCK'
  | 'UNSUPPORTED'
  | 'CLOSED';

/** How far a `sendMany` got before it stopped. Positions count from 0, in the order of the values. */
export interface SendManyProgress {
  /** How many values were taken from the iterable. */
  readonly taken: number;
  /** How many of the taken values are stored: all of them but `failed`, and but those that were skipped. */
  readonly stored: number;
  /** How many were skipped, with `onInvalid: 'skip'`. */
  readonly skipped?: number;
  /** The taken values that are not known to be stored; `UNCONFIRMED` ones may have arrived. */
  readonly failed: readonly { readonly position: number; readonly error: QueueError }[];
}

/** How the handler of a request failed, as its reply says. */
export interface RemoteFailure {
  /** The `code` of the error that the handler threw, if it has one; else the reason of the dead letter. */
  readonly code: string;
  /** The error's message. At most 1000 characters. */
  readonly message: string;
}

/** Errors carry a mark, since a program may load two copies of this package, whose classes differ. */
const QUEUE_ERROR = Symbol.for('millrace.QueueError');
const REJECT_MESSAGE = Symbol.for('millrace.RejectMessage');
const RETRY_LATER = Symbol.for('millrace.RetryLater');
const POSTPONE = Symbol.for('millrace.Postpone');

/** The longest delay that timers and broker arguments carry: 2^31 - 1 ms, 24 days. */
export const MAX_DELAY_MS = 2 ** 31 - 1;

function isMarked(error: unknown, mark: symbol): boolean {
  try {
    return typeof error === 'object' && error !== null && Reflect.get(error, mark) === true;
  } catch {
    return false; // A revoked proxy.
  }
}

/** The error class of the toolkit. Distinguish errors by {@link QueueError.code}, never by their text. */
export class QueueError extends Error {
  static {
    Object.defineProperty(QueueError.prototype, QUEUE_ERROR, { value: true });
  }

  override readonly name = 'QueueError';
  /** The kind of error; see {@link QueueErrorCode}. */
  readonly code: QueueErrorCode;
  /** Set on errors of `sendMany`. */
  declare readonly progress?: SendManyProgress;
  /** Set on `REMOTE_ERROR`. */
  declare readonly remote?: RemoteFailure;

  constructor(
    code: QueueErrorCode,
    message: string,
    options?: {
      readonly cause?: unknown;
      readonly progress?: SendManyProgress;
      readonly remote?: RemoteFailure;
    },
  ) {
    super(message, options !== undefined && 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    if (options?.progress !== undefined) this.progress = options.progress;
    if (options?.remote !== undefined) this.remote = options.remote;
  }
}

/**
 * Whether `error` is a {@link QueueError} with one of `codes`, or with any code if none is given. Unlike `instanceof`
 * it recognizes errors of another copy of this package.
 */
export function isQueueError(error: unknown, ...codes: readonly QueueErrorCode[]): error is QueueError {
  if (!isMarked(error, QUEUE_ERROR)) return false;
  return codes.length === 0 || codes.includes((error as QueueError).code);
}

/** Whether `error` is a {@link RejectMessage} of any copy of this package. */
export function isRejectMessage(error: unknown): error is RejectMessage {
  return isMarked(error, REJECT_MESSAGE);
}

/**
 * Thrown by a handler for a message that can never be handled: it becomes a dead letter at once, regardless of the
 * retry policy.
 *
 * ```ts
 * if (order.total < 0) throw new RejectMessage(`negative total ${order.total}`);
 * ```
 */
export class RejectMessage extends Error {
  static {
    Object.defineProperty(RejectMessage.prototype, REJECT_MESSAGE, { value: true });
  }

  override readonly name = 'RejectMessage';
}

/** Whether `error` is a {@link RetryLater}, of any copy of this package. */
export function isRetryLater(error: unknown): error is RetryLater {
  return isMarked(error, RETRY_LATER);
}

/** Whether `error` is a {@link Postpone}, of any copy of this package. */
export function isPostpone(error: unknown): error is Postpone {
  return isMarked(error, POSTPONE);
}

function checkDelay(delayMs: number): number {
  if (typeof delayMs === 'number' && delayMs >= 0 && delayMs <= MAX_DELAY_MS) return delayMs;
  throw new QueueError(
    'INVALID_OPTION',
    `delayMs: expected a number from 0 to ${MAX_DELAY_MS}, in milliseconds, got ${typeof delayMs} ${String(delayMs)}`,
  );
}

/**
 * Thrown by a handler that has failed and knows when another try makes sense. It counts as an attempt: after the last
 * one of the retry policy the message becomes a dead letter all the same.
 *
 * ```ts
 * if (response.status === 503) throw new RetryLater(30_000, 'the warehouse is down');
 * ```
 */
export class RetryLater extends Error {
  static {
    Object.defineProperty(RetryLater.prototype, RETRY_LATER, { value: true });
  }

  override readonly name = 'RetryLater';
  /** Milliseconds until the next attempt. */
  readonly delayMs: number;

  /** `delayMs`: 0 to 2,147,483,647 (24 days), or the constructor throws `INVALID_OPTION`. */
  constructor(delayMs: number, message?: string, options?: ErrorOptions) {
    super(message ?? `failed, to be retried in ${String(delayMs)} ms`, options);
    this.delayMs = checkDelay(delayMs);
  }
}

/**
 * Thrown by a handler that can't handle the message yet, for example because the other side has answered "429, try
 * again in 30 s". The message is redelivered after the delay, and `attempt` is not incremented. After `maxPostpones` of these
 * (see `ConsumerOptions`) the message becomes a dead letter with the reason `postponed`.
 *
 * ```ts
 * if (response.status === 429) throw new Postpone((Number(response.headers.get('retry-after')) || 30) * 1000);
 * ```
 */
export class Postpone extends Error {
  static {
    Object.defineProperty(Postpone.prototype, POSTPONE, { value: true });
  }

  override readonly name = 'Postpone';
  /** Milliseconds until the message is redelivered. */
  readonly delayMs: number;

  /** `delayMs`: 0 to 2,147,483,647 (24 days), or the constructor throws `INVALID_OPTION`. */
  constructor(delayMs: number, message?: string, options?: ErrorOptions) {
    super(message ?? `postponed by ${String(delayMs)} ms`, options);
    this.delayMs = checkDelay(delayMs);
  }
}
