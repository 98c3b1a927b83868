import type { Delivery } from '../broker.js';
import { errorText } from '../common/error-text.js';
import { QueueError, RejectMessage } from '../errors.js';
import type { Outcome } from './settlement.js';

/** What a handler is told about the message besides its value. */
export interface HandlerContext {
  readonly queue: string;
  readonly id: string;
  /** 1 on the first try. */
  readonly attempt: number;
  /** Whether this message may have been handled before, wholly or in part. */
  readonly redelivered: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** When the sender made the message, in milliseconds since the epoch. */
  readonly timestamp: number | undefined;
  readonly correlationId: string | undefined;
  readonly replyTo: string | undefined;
  /**
   * Aborted when the result no longer counts: the time limit is over, the message was taken away, or the
   * consumer's deadline for stopping has passed. Pass it on to what the handler waits for.
   */
  readonly signal: AbortSignal;
}

/**
 * Handles one message. Returning, or resolving, acknowledges it. Throwing, or rejecting, has it retried after
 * the delay of the policy, and after the last attempt moved to the dead-letter queue; throwing `RejectMessage`
 * moves it there now.
 *
 * Where the message is a request (it has a `replyTo` and a `correlationId`), what the handler returns is the reply, as
 * JSON. A request that becomes a dead letter is answered with the error's message and code; one that is retried is
 * not answered yet.
 */
export type Handler<Out> = (value: Out, context: HandlerContext) => unknown;

/** What happens while a handler runs long. */
export interface HandlerWarning {
  /** On the clock of `performance.now()`. */
  readonly at: number;
  tell(): void;
}

const NOTHING_RETURNED: Outcome = { type: 'handled', value: undefined };

/**
 * One run of a handler, which sees it as its context.
 *
 *   running ──the handler ends──► over, with its outcome
 *      ├──the time limit passes──► expired: counts as failed; what the handler does later counts for nothing
 *      └──the message is taken away──► abandoned: there is nothing to settle; its place is taken until the handler ends
 */
export class HandlerRun implements HandlerContext {
  readonly queue: string;
  readonly id: string;
  readonly attempt: number;
  readonly redelivered: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestamp: number | undefined;
  readonly correlationId: string | undefined;
  readonly replyTo: string | undefined;
  /** Its place among the runs under way. For `Runs` alone. */
  place = 0;
  /** Made when it is asked for: most handlers never look at it, and a controller costs more than they do. */
  #controller: AbortController | undefined = undefined;
  #abortReason: Error | undefined = undefined;
  #abandoned = false;
  #expired = false;
  /** When its time is over, on the clock of `performance.now()`. */
  #deadline = Number.POSITIVE_INFINITY;
  #warning: HandlerWarning | undefined = undefined;

  constructor({ message, attempt, redelivered }: Delivery, queue: string) {
    this.queue = queue;
    this.id = message.id;
    this.attempt = attempt;
    this.redelivered = redelivered;
    this.headers = message.headers;
    this.timestamp = message.timestamp;
    this.correlationId = message.correlationId;
    this.replyTo = message.replyTo;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  /** Whether the message is no longer this run's to settle. */
  get abandoned(): boolean {
    return this.#abandoned;
  }

  /** From now on the handler is waited for. */
  limit(deadline: number, warning: HandlerWarning | undefined): void {
    this.#deadline = deadline;
    this.#warning = warning;
  }

  /** When something is due: the warning, and then the end of its time. */
  get nextDue(): number {
    return Math.min(this.#deadline, this.#warning?.at ?? Number.POSITIVE_INFINITY);
  }

  /** Whether its time is over. Warns where that is due. */
  isOver(now: number): boolean {
    const warning = this.#warning;
    if (warning !== undefined && warning.at <= now) {
      this.#warning = undefined;
      if (!this.#abandoned) warning.tell();
    }
    return this.#deadline <= now;
  }

  /** The handler has ended. False where that counts for nothing, because its time was over before. */
  end(): boolean {
    this.limit(Number.POSITIVE_INFINITY, undefined);
    return !this.#expired;
  }

  /** Tells the handler that its result no longer counts, because the message was taken away. */
  abandon(reason: Error): void {
    this.#abandoned = true;
    this.#abort(reason);
  }

  /** Its time is over: tells the handler so, and returns what that means for the message. */
  expire(timeoutMs: number): Outcome {
    const error = new QueueError(
      'TIMEOUT',
      `the handler of '${this.queue}' had not finished message ${this.id} after ${timeoutMs} ms (handlerTimeoutMs)`,
    );
    this.#expired = true;
    this.limit(Number.POSITIVE_INFINITY, undefined);
    this.#abort(error);
    return failureOf(error);
  }

  #abort(reason: Error): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(reason);
  }
}

export function handled(value: unknown): Outcome {
  return value === undefined ? NOTHING_RETURNED : { type: 'handled', value };
}

export function failureOf(error: unknown): Outcome {
  const text = errorText(error);
  return isRejection(error)
    ? { type: 'hopeless', code: 'rejected', error, text }
    : { type: 'failed', error, text };
}

function isRejection(error: unknown): boolean {
  try {
    return error instanceof RejectMessage;
  } catch {
    return false; // A proxy whose target is not to be had.
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
