import type { Delivery } from '../broker.js';
import { QueueError, RejectMessage } from '../errors.js';
import { errorText } from './error-text.js';
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

const NOTHING_RETURNED: Outcome = { type: 'handled', value: undefined };

/**
 * One run of a handler, which sees it as its context. It ends with the handler or at the time limit, whichever
 * comes first.
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
  /** Made when it is asked for: most handlers never look at it, and a controller costs more than they do. */
  #controller: AbortController | undefined = undefined;
  #abortReason: Error | undefined = undefined;
  #abandoned = false;

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

  /** Tells the handler that its result no longer counts, because the message was taken away. */
  abandon(reason: Error): void {
    this.#abandoned = true;
    this.#abort(reason);
  }

  #abort(reason: Error): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(reason);
  }

  /** Runs the handler. Never throws or rejects; a promise only where the handler returns one. */
  outcome<Out>(handler: Handler<Out>, value: Out, timeoutMs: number): Outcome | Promise<Outcome> {
    try {
      const result = handler(value, this);
      return isThenable(result) ? this.#withinTimeLimit(result, timeoutMs) : handled(result);
    } catch (error) {
      return failureOf(error);
    }
  }

  /** It is the subscription that keeps the process alive, or not: the timer does not. */
  #withinTimeLimit(result: PromiseLike<unknown>, timeoutMs: number): Promise<Outcome> {
    return new Promise((resolve) => {
      const timer =
        timeoutMs === Number.POSITIVE_INFINITY
          ? undefined
          : setTimeout(() => {
              const error = new QueueError(
                'TIMEOUT',
                `the handler of '${this.queue}' had not finished message ${this.id} after ${timeoutMs} ms (handlerTimeoutMs)`,
              );
              resolve(failureOf(error));
              this.#abort(error);
            }, timeoutMs).unref();
      result.then(
        (value) => {
          clearTimeout(timer);
          resolve(handled(value));
        },
        (error) => {
          clearTimeout(timer);
          resolve(failureOf(error));
        },
      );
    });
  }
}

function handled(value: unknown): Outcome {
  return value === undefined ? NOTHING_RETURNED : { type: 'handled', value };
}

function failureOf(error: unknown): Outcome {
  const text = errorText(error);
  return error instanceof RejectMessage
    ? { type: 'hopeless', code: 'rejected', error, text }
    : { type: 'failed', error, text };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
