import { Deferred } from '../common/limits.js';
import { quote } from '../common/options.js';
import type { HandlerContext, MessageInfo } from '../consumer/consumer.js';
import { Context, type HandlerRun } from '../consumer/handler-run.js';
import { isPostpone, isRejectMessage, isRetryLater, QueueError } from '../errors.js';

/** One message of a batch: its value, and what is known about it. */
export interface BatchItem<Out> extends Omit<MessageInfo, 'queue' | 'replyTo'> {
  /** The decoded and validated value. */
  readonly value: Out;
}

/** What a handler knows about a batch besides its messages. */
export interface BatchContext<Out> {
  /** The name of the queue. */
  readonly queue: string;
  /**
   * Singles out a message of the batch that has failed, with what its handler would have thrown: it is retried by the
   * policy, or as `RetryLater`, `Postpone` and `RejectMessage` say. The first error of a message counts. Throws
   * `INVALID_OPTION` for what is not in the batch; has no effect once the batch has ended.
   */
  readonly fail: (item: BatchItem<Out> | undefined, error: unknown) => void;
  /** Aborted when the result no longer counts: the time limit has passed, or none of the messages is ours any more. */
  readonly signal: AbortSignal;
}

/**
 * Handles the messages of one batch, at least one.
 *
 * - Returning, or resolving, acknowledges all of them but those that `fail` named.
 * - Throwing has all of them retried; those that `fail` named, with their own errors.
 * - If one of them has failed before (its `attempt` is above 1), or what is thrown is a `RejectMessage`, the handler is
 *   called with each half of the batch instead, and so on down to single messages: what can be handled is, and only
 *   what fails alone has failed. This goes on for 25 minutes at most.
 * - A `RetryLater` or a `Postpone` is for all of them.
 */
export type BatchHandler<Out> = (batch: readonly BatchItem<Out>[], context: BatchContext<Out>) => unknown;

/** How long a batch is divided: RabbitMQ takes messages back after 30 minutes. */
const MAX_DIVIDING_MS = 25 * 60_000;

/** A message in a batch. */
export class BatchEntry<Out> {
  readonly item: BatchItem<Out>;
  readonly run: HandlerRun;
  /** What the message's own handler returns: settled once, and with it the message. */
  readonly outcome = new Deferred();

  constructor(value: Out, context: HandlerContext) {
    // Not by spreading: reading the signal would make one for each message.
    const { id, attempt, redelivered, headers, timestamp, correlationId } = context;
    const { exchange, routingKey, type, appId, userId, expiresAt } = context;
    this.item = {
      value,
      id,
      attempt,
      redelivered,
      headers,
      timestamp,
      correlationId,
      exchange,
      routingKey,
      type,
      appId,
      userId,
      expiresAt,
    };
    this.run = Context.runOf(context);
  }
}

interface BatchSettings<Out> {
  readonly queue: string;
  readonly handler: BatchHandler<Out>;
  readonly handlerTimeoutMs: number;
}

/** Handles the entries and settles each. Never rejects. */
export async function handleBatch<Out>(
  entries: readonly BatchEntry<Out>[],
  settings: BatchSettings<Out>,
): Promise<void> {
  await handleUntil(entries, settings, performance.now() + MAX_DIVIDING_MS);
}

async function handleUntil<Out>(
  entries: readonly BatchEntry<Out>[],
  settings: BatchSettings<Out>,
  deadline: number,
): Promise<void> {
  const call = new BatchCall(entries, settings.queue);
  if (call.isEmpty) return;
  const failed = await call.make(settings);
  if (failed === undefined) return;
  const { error, rest } = failed;
  if (!isDivisible(rest, error) || performance.now() >= deadline) {
    for (const { outcome } of rest) outcome.reject(error);
    return;
  }
  const middle = Math.ceil(rest.length / 2);
  await handleUntil(rest.slice(0, middle), settings, deadline);
  await handleUntil(rest.slice(middle), settings, deadline);
}

function isDivisible<Out>(entries: readonly BatchEntry<Out>[], error: unknown): boolean {
  if (entries.length < 2 || isPostpone(error) || isRetryLater(error)) return false;
  return isRejectMessage(error) || entries.some(({ item }) => item.attempt > 1);
}

interface FailedCall<Out> {
  readonly error: unknown;
  /** Those that `fail` did not name. */
  readonly rest: readonly BatchEntry<Out>[];
}

/**
 * One call of the handler.
 *
 *   calling ──returns──► over: each entry is settled
 *      └──throws, or takes too long──► over: those that `fail` named are settled, the rest is its caller's
 */
class BatchCall<Out> {
  readonly #queue: string;
  /** By their items, in the order of the batch. */
  readonly #entries = new Map<unknown, BatchEntry<Out>>();
  readonly #errors = new Map<BatchEntry<Out>, unknown>();
  #isOver = false;
  /** Created on demand: few handlers read the signal. */
  #controller: AbortController | undefined;
  #timeout: QueueError | undefined;

  constructor(entries: readonly BatchEntry<Out>[], queue: string) {
    this.#queue = queue;
    for (const entry of entries) {
      // It is delivered again, to somebody.
      if (entry.run.abandoned) entry.outcome.resolve();
      else this.#entries.set(entry.item, entry);
    }
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Undefined if the handler returned. Never rejects. */
  async make({ handler, handlerTimeoutMs }: BatchSettings<Out>): Promise<FailedCall<Out> | undefined> {
    const failure = await this.#call(handler, handlerTimeoutMs);
    this.#isOver = true;
    const rest: BatchEntry<Out>[] = [];
    for (const entry of this.#entries.values()) {
      if (this.#errors.has(entry)) entry.outcome.reject(this.#errors.get(entry));
      else if (failure === undefined) entry.outcome.resolve();
      else rest.push(entry);
    }
    return failure && { error: failure.error, rest };
  }

  async #call(
    handler: BatchHandler<Out>,
    timeoutMs: number,
  ): Promise<{ readonly error: unknown } | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const expired = new Deferred<never>();
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      timer = setTimeout(() => {
        this.#timeout = new QueueError(
          'TIMEOUT',
          `a batch of ${this.#entries.size} messages of '${this.#queue}' was not handled within ${Math.ceil(timeoutMs)} ms (handlerTimeoutMs)`,
        );
        this.#controller?.abort(this.#timeout);
        expired.reject(this.#timeout);
      }, timeoutMs).unref();
    }
    try {
      const batch = [...this.#entries.values()].map(({ item }) => item);
      const returned = Promise.resolve(handler(batch, this.#context()));
      await Promise.race([returned, expired.promise]);
      return undefined;
    } catch (error) {
      return { error };
    } finally {
      clearTimeout(timer);
    }
  }

  #context(): BatchContext<Out> {
    const signal = () => this.#signal();
    return {
      queue: this.#queue,
      fail: (item, error) => this.#fail(item, error),
      get signal() {
        return signal();
      },
    };
  }

  #fail(item: unknown, error: unknown): void {
    const entry = this.#entries.get(item);
    if (entry === undefined) {
      throw new QueueError('INVALID_OPTION', `fail: expected an item of this batch, got ${quote(item)}`);
    }
    if (!this.#isOver && !this.#errors.has(entry)) this.#errors.set(entry, error);
  }

  #signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    const controller = new AbortController();
    this.#controller = controller;
    if (this.#timeout !== undefined) controller.abort(this.#timeout);
    let ours = this.#entries.size;
    for (const { run } of this.#entries.values()) {
      const onAbort = () => {
        ours--;
        if (ours === 0) controller.abort(run.signal.reason);
      };
      if (run.signal.aborted) onAbort();
      else run.signal.addEventListener('abort', onAbort, { once: true });
    }
    return controller.signal;
  }
}
