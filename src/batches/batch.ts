import type { Broker } from '../broker.js';
import { instrumentation } from '../common/hooks/instrumentation.js';
import { quote } from '../common/options.js';
import { emitWarning } from '../common/reporting/logger.js';
import { Deferred, onAbort } from '../common/waiting/waiting.js';
import type { HandlerContext, MessageInfo } from '../consumer/consumer.js';
import { withoutFrames } from '../consumer/error-stack.js';
import { Context, type HandlerRun } from '../consumer/handler-run.js';
import { isPostpone, isRejectMessage, isRetryLater, QueueError } from '../errors.js';

/** One message of a batch: its value and its properties. */
export interface BatchItem<Out> extends Omit<MessageInfo, 'queue' | 'replyTo'> {
  /** The decoded and validated value. */
  readonly value: Out;
}

/** The second argument of a batch handler. */
export interface BatchContext<Out> {
  /** The name of the queue. */
  readonly queue: string;
  /**
   * Marks one message of the batch as failed, with the error that its own handler would have thrown: it is retried by
   * the policy, or as `RetryLater`, `Postpone` and `RejectMessage` say. Only the first error of a message counts.
   * Throws `INVALID_OPTION` for an item of another batch; has no effect after the batch has ended.
   */
  readonly fail: (item: BatchItem<Out> | undefined, error: unknown) => void;
  /** Aborted when the result no longer counts: the time limit has passed, or all messages have been taken away. */
  readonly signal: AbortSignal;
}

/**
 * Handles the messages of one batch, at least one.
 *
 * - Returning, or resolving, acknowledges all messages except those that were passed to `fail`.
 * - Throwing fails all messages; those passed to `fail` keep their own errors.
 * - If a message has failed before (its `attempt` is above 1), or if a `RejectMessage` is thrown, the handler is called
 *   again with each half of the batch, down to single messages. So only messages that fail alone count as failed. This
 *   continues for at most 25 minutes.
 * - A `RetryLater` or a `Postpone` applies to all messages.
 */
export type BatchHandler<Out> = (batch: readonly BatchItem<Out>[], context: BatchContext<Out>) => unknown;

/** How long a batch may be divided: RabbitMQ takes messages back after 30 minutes. */
const MAX_DIVIDING_MS = 25 * 60_000;

/** A message in a batch. */
export class BatchEntry<Out> {
  readonly item: BatchItem<Out>;
  readonly run: HandlerRun;
  /** The result of the message's own handler. Settling it settles the message. */
  readonly outcome = new Deferred();

  constructor(value: Out, context: HandlerContext) {
    // Not by spreading, which would create an abort signal for each message.
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
  readonly broker: Pick<Broker, 'url'>;
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
  /** The messages that were not passed to `fail`. */
  readonly rest: readonly BatchEntry<Out>[];
}

/**
 * A single call of the handler.
 *
 *   calling ──returns──► over: every entry is settled
 *      └──throws, or times out──► over: entries passed to `fail` are settled, the caller decides on the rest
 */
class BatchCall<Out> {
  readonly #queue: string;
  /** Entries by their items, in the order of the batch. */
  readonly #entries = new Map<unknown, BatchEntry<Out>>();
  readonly #errors = new Map<BatchEntry<Out>, unknown>();
  #isOver = false;
  /** It has ended; the messages that `fail` did not name were handled. */
  #isAcknowledged = false;
  /** Created on demand, since few handlers read the signal. */
  #controller: AbortController | undefined;
  #timeout: QueueError | undefined;

  constructor(entries: readonly BatchEntry<Out>[], queue: string) {
    this.#queue = queue;
    for (const entry of entries) {
      // The broker delivers it again.
      if (entry.run.abandoned) entry.outcome.resolve();
      else this.#entries.set(entry.item, entry);
    }
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Undefined if the handler returned. Never rejects. */
  async make(settings: BatchSettings<Out>): Promise<FailedCall<Out> | undefined> {
    const failure = await this.#call(settings);
    this.#isOver = true;
    this.#isAcknowledged = failure === undefined;
    const rest: BatchEntry<Out>[] = [];
    for (const entry of this.#entries.values()) {
      if (this.#errors.has(entry)) entry.outcome.reject(this.#errors.get(entry));
      else if (failure === undefined) entry.outcome.resolve();
      else rest.push(entry);
    }
    return failure && { error: failure.error, rest };
  }

  async #call({
    handler,
    broker,
    handlerTimeoutMs: timeoutMs,
  }: BatchSettings<Out>): Promise<{ readonly error: unknown } | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const expired = new Deferred<never>();
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      timer = setTimeout(() => {
        const text = `a batch of ${this.#entries.size} messages of '${this.#queue}' was not handled within ${Math.ceil(timeoutMs)} ms (handlerTimeoutMs)`;
        this.#timeout = withoutFrames(new QueueError('TIMEOUT', text));
        this.#controller?.abort(this.#timeout);
        expired.reject(this.#timeout);
      }, timeoutMs).unref();
    }
    try {
      const batch = [...this.#entries.values()].map(({ item }) => item);
      const call = async () => handler(batch, this.#context());
      const { current } = instrumentation;
      const traced = { queue: this.#queue, url: broker.url, items: batch };
      const returned = current === undefined ? call() : current.handleBatch(call, traced);
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
      const { id = quote(item) } = (item ?? {}) as { readonly id?: string };
      throw new QueueError('INVALID_OPTION', `fail: expected an item of this batch, got ${id}`);
    }
    if (!this.#isOver) {
      if (!this.#errors.has(entry)) this.#errors.set(entry, error);
    } else if (this.#isAcknowledged && !this.#errors.has(entry)) {
      const why = `called after the handler had returned: ${entry.item.id} was acknowledged with its batch`;
      emitWarning(
        'MILLRACE_LATE_FAIL',
        `fail() of a batch of '${this.#queue}' was ${why}; await what calls it`,
      );
    }
  }

  #signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    const controller = new AbortController();
    this.#controller = controller;
    if (this.#timeout !== undefined) controller.abort(this.#timeout);
    let ours = this.#entries.size;
    for (const { run } of this.#entries.values()) {
      const leave = () => {
        ours--;
        if (ours === 0) controller.abort(run.signal.reason);
      };
      if (run.signal.aborted) leave();
      else onAbort(run.signal, leave);
    }
    return controller.signal;
  }
}
