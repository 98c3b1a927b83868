import type { Backend, Broker, Delivery, QueueSubscription } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { isExpired } from '../common/message/expiry.js';
import {
  booleanOption,
  checkOptionNames,
  checkSignal,
  durationOption,
  integerOption,
} from '../common/options.js';
import { Deferred, onAbort } from '../common/waiting/waiting.js';
import type { Queue } from '../queue.js';
import { decode, store } from './handle-message.js';
import { OutcomeReport } from './outcome-report.js';
import { type Received, toReceived } from './received.js';
import { DEFAULT_MAX_POSTPONES, DEFAULT_RETRIES } from './retry-policy.js';
import { expired, type Unhandled, unhandledSettlementFor } from './settlement.js';

/** Options of `receive`. All have defaults. */
export interface ReceiveOptions {
  /** The maximum number of unsettled messages. Default: 1. */
  readonly prefetch?: number | undefined;
  /** Ends the loop, without an error, when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** How long subscribing may take, in milliseconds; then the loop throws `TIMEOUT`. Default: 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Whether messages carry the stacks of the errors passed to `retry` and `deadLetter`, as in `createConsumer`. Default: true. */
  readonly errorStacks?: boolean | undefined;
}

/**
 * Iterates over the messages of a queue, for a loop instead of a handler. The loop must settle each message; leaving it
 * returns unsettled messages to the queue. Messages that can't be decoded or fail the schema become dead letters and do
 * not appear here, nor do those that have expired; a message whose schema throws is retried after 1, 10 and 60 seconds first.
 *
 * ```ts
 * for await (const message of receive(broker, orders)) {
 *   await ship(message.value);
 *   message.ack();
 * }
 * ```
 *
 * Throws `INVALID_OPTION`. The loop throws the errors of declaring and subscribing, and the error that ends the
 * subscription. It ends when the broker is closed. An iterator that is used without a loop must be closed with `return()`,
 * which also ends a pending `next()`.
 */
export function receive<Out>(
  broker: Broker,
  queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
  options: ReceiveOptions = {},
): {
  /** Subscribes at the first `next`; leaving the loop ends the subscription. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Received<Out>, undefined>;
} {
  checkOptionNames('receive', options, ['prefetch', 'signal', 'timeoutMs', 'errorStacks']);
  const prefetch = integerOption('prefetch', options.prefetch, { min: 1, max: 65_535, default: 1 });
  const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: 30_000 });
  const errorStacks = booleanOption('errorStacks', options.errorStacks, true);
  const { signal } = options;
  checkSignal(signal);
  const backend = backendOf(broker);
  return {
    [Symbol.asyncIterator]: () => new Receiving(backend, queue, { prefetch, timeoutMs, errorStacks, signal }),
  };
}

interface Settings {
  readonly prefetch: number;
  readonly timeoutMs: number;
  readonly errorStacks: boolean;
}

type Result<Out> = IteratorResult<Received<Out>, undefined>;

const END = { done: true, value: undefined } as const;

/**
 * One loop over the messages of a queue.
 *
 *   idle ──next()──► subscribing ──► receiving ──return(), signal, subscription ended──► over
 *     └──return(), signal───┴──(can't subscribe)───────────────────────────────────────► ▲
 *
 * It is not an async generator, whose `return()` would wait until a pending `next()` has a message, and lose that message.
 */
class Receiving<Out> implements AsyncIterableIterator<Received<Out>, undefined> {
  readonly #broker: Backend;
  readonly #queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>;
  readonly #options: Settings;
  /** Reports messages that never reach the loop: they can't be read, or have expired. */
  readonly #report: OutcomeReport;
  /** Aborted at the end of the loop; it also ends a pending subscription. */
  readonly #over = new AbortController();
  readonly #unlisten: (() => void) | undefined;
  /** Deliveries that `next` has not returned yet; at most `prefetch`. */
  readonly #arrived: Delivery[] = [];
  #subscribing: Promise<QueueSubscription> | undefined;
  #closing: Promise<void> | undefined;
  /** Why the subscription ended; thrown once. */
  #error: { readonly reason: unknown } | undefined;
  /** Concurrent calls of `next` take turns. */
  #lastNext: Promise<unknown> = Promise.resolve();
  /** Resolved when something arrives, or at the end. */
  #change = new Deferred();

  constructor(
    broker: Backend,
    queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
    { signal, ...options }: Settings & { readonly signal: AbortSignal | undefined },
  ) {
    this.#broker = broker;
    this.#queue = queue;
    this.#report = new OutcomeReport(broker, queue.spec, undefined);
    this.#options = options;
    if (signal?.aborted) this.#end();
    else this.#unlisten = signal && onAbort(signal, () => this.#end());
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result<Out>> {
    const result = this.#lastNext.then(() => this.#next());
    this.#lastNext = result.catch(() => {});
    return result;
  }

  /** Ends a pending `next()`, and returns unsettled messages to the queue. */
  async return(): Promise<Result<Out>> {
    this.#end();
    await this.#close();
    return END;
  }

  async #next(): Promise<Result<Out>> {
    try {
      if (!this.#over.signal.aborted) {
        this.#subscribing ??= this.#subscribe();
        await this.#subscribing;
      }
      while (!this.#over.signal.aborted) {
        const delivery = this.#arrived[0];
        if (delivery === undefined) await this.#change.promise;
        else {
          const received = await this.#read(delivery);
          if (received !== undefined) return { done: false, value: received };
        }
      }
    } catch (error) {
      // An error that the end itself caused is ignored.
      if (!this.#over.signal.aborted) this.#end({ reason: error });
    }
    await this.#close();
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error.reason;
    return END;
  }

  async #subscribe(): Promise<QueueSubscription> {
    const wait = { timeoutMs: this.#options.timeoutMs, signal: this.#over.signal };
    await this.#broker.declare(this.#queue.spec, wait);
    const subscription = await this.#broker.subscribe(
      this.#queue.name,
      {
        ...wait,
        prefetch: this.#options.prefetch,
        exactDelaysMs: DEFAULT_RETRIES.exactDelaysMs,
        onLost: (delivery) => this.#remove(delivery),
      },
      (delivery) => {
        this.#arrived.push(delivery);
        this.#changed();
      },
    );
    subscription.ended.then(
      () => this.#end(),
      (reason) => this.#end({ reason }),
    );
    return subscription;
  }

  /** Undefined if the message was lost meanwhile, or if it has expired or can't be read, and was settled here. */
  async #read(delivery: Delivery): Promise<Received<Out> | undefined> {
    const decoding = decode(delivery.message, this.#queue, this.#broker.maxMessageBytes);
    const ended = new Deferred();
    const unlisten = onAbort(this.#over.signal, ended.resolve);
    const decoded = decoding instanceof Promise ? await Promise.race([decoding, ended.promise]) : decoding;
    unlisten();
    // At the end, unsettled messages are returned.
    if (decoded === undefined || this.#over.signal.aborted || !this.#remove(delivery)) return undefined;
    const isOver = isExpired(delivery.message);
    if (decoded.ok && !isOver) {
      return toReceived(delivery, decoded.value, this.#queue.name, this.#options.errorStacks);
    }
    const outcome = decoded.ok || isOver ? expired(delivery.message.expiresAt) : decoded.outcome;
    await this.#settleUnread(delivery, outcome);
    return undefined;
  }

  /** If the settlement can't be stored, the message returns to its queue and is redelivered. Never rejects. */
  async #settleUnread(delivery: Delivery, outcome: Unhandled): Promise<void> {
    const settlement = unhandledSettlementFor(outcome, delivery, {
      retries: DEFAULT_RETRIES,
      maxPostpones: DEFAULT_MAX_POSTPONES,
      onExpired: this.#queue.spec.onExpired,
      errorStacks: this.#options.errorStacks,
    });
    if (settlement.verb === 'drop') {
      delivery.ack();
      this.#report.expired(delivery);
      return;
    }
    try {
      await store(delivery, settlement);
      this.#report.stored(delivery, settlement, 'error' in outcome ? outcome.error : undefined);
    } catch (error) {
      this.#report.settleFailed(delivery, error as Error);
    }
  }

  #remove(delivery: Delivery): boolean {
    const position = this.#arrived.indexOf(delivery);
    if (position >= 0) this.#arrived.splice(position, 1);
    return position >= 0;
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = new Deferred();
  }

  #end(error?: { readonly reason: unknown }): void {
    if (this.#over.signal.aborted) return;
    this.#error = error;
    this.#unlisten?.();
    this.#over.abort();
    this.#changed();
  }

  #close(): Promise<void> {
    this.#closing ??= (async () => {
      const subscription = await this.#subscribing?.catch(() => undefined);
      await subscription?.close();
      this.#report.end();
    })();
    return this.#closing;
  }
}
