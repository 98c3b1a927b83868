import type { Broker, Delivery, Subscription } from '../broker.js';
import { errorText } from '../common/error-text.js';
import { Deferred, onAbort } from '../common/limits.js';
import {
  checkOptionNames,
  durationOption,
  integerOption,
  invalidOption,
  MAX_DELAY_MS,
} from '../common/options.js';
import type { Queue } from '../queue.js';
import { decode } from './decode.js';

export interface ReceiveOptions {
  /** How many messages the broker hands over ahead of their settlement. Default: 1. */
  readonly prefetch?: number | undefined;
  /** Ends the loop, without an error, when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** How long beginning may take, in milliseconds; then the loop throws `TIMEOUT`. Default: 30 000. */
  readonly timeoutMs?: number | undefined;
}

/** A message that the loop has to settle with one of `ack`, `retry`, `deadLetter` and `release`. */
export interface Received<Out> {
  readonly value: Out;
  readonly queue: string;
  readonly id: string;
  /** 1 on the first try. */
  readonly attempt: number;
  readonly redelivered: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestamp: number | undefined;
  readonly correlationId: string | undefined;
  readonly replyTo: string | undefined;
  /** Done: the message is removed. */
  ack(): void;
  /** Later: the message comes again after `delayMs` (default 0) with `attempt` raised; `error` says why. */
  retry(delayMs?: number, error?: unknown): Promise<void>;
  /** Never: the message moves to the dead-letter queue; `error` says why. */
  deadLetter(error: unknown): Promise<void>;
  /** Not now: the message goes back to its queue at no cost. */
  release(): void;
}

/**
 * The messages of a queue, for those who would rather loop than give a handler. Each must be settled; leaving the
 * loop gives back what is not. Messages that do not decode or do not fit the schema become dead letters and are
 * not seen here.
 *
 * ```ts
 * for await (const message of receive(broker, orders)) {
 *   await ship(message.value);
 *   message.ack();
 * }
 * ```
 *
 * Throws `INVALID_OPTION`; the loop throws what declaring and subscribing reject with, and what ends the
 * subscription. It ends when the broker is closed.
 */
export function receive<Out>(
  broker: Broker,
  queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
  options: ReceiveOptions = {},
): AsyncIterable<Received<Out>> {
  checkOptionNames('receive', options, ['prefetch', 'signal', 'timeoutMs']);
  const prefetch = integerOption('prefetch', options.prefetch, { min: 1, max: 65_535, default: 1 });
  const timeoutMs = durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: 30_000 });
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidOption('signal', 'an AbortSignal', signal);
  }

  return {
    async *[Symbol.asyncIterator]() {
      if (signal?.aborted) return;
      const inbox = new Inbox();
      let subscription: Subscription;
      try {
        await broker.declare(queue.spec, { signal, timeoutMs });
        subscription = await broker.subscribe(
          queue.name,
          { prefetch, signal, timeoutMs, onLost: (delivery) => inbox.remove(delivery) },
          (delivery) => inbox.add(delivery),
        );
      } catch (error) {
        if (signal?.aborted) return;
        throw error;
      }
      try {
        yield* inbox.messages(subscription, queue, broker.maxMessageBytes, signal);
      } finally {
        await subscription.close();
      }
    },
  };
}

/** Deliveries that the loop has not come to yet; at most `prefetch`. */
class Inbox {
  readonly #deliveries: Delivery[] = [];
  #ended = false;
  #error: unknown;
  #wake: () => void = () => {};

  add(delivery: Delivery): void {
    this.#deliveries.push(delivery);
    this.#wake();
  }

  remove(delivery: Delivery): void {
    const position = this.#deliveries.indexOf(delivery);
    if (position >= 0) this.#deliveries.splice(position, 1);
  }

  async *messages<Out>(
    subscription: Subscription,
    queue: Pick<Queue<never, Out>, 'name' | 'decode'>,
    maxMessageBytes: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Received<Out>, void, undefined> {
    const end = () => this.#end(undefined);
    const unlisten = signal && onAbort(signal, end);
    subscription.ended.then(end, (error) => this.#end(error));
    try {
      while (true) {
        const delivery = await this.#next();
        if (delivery === undefined) break;
        const decoded = await decode(delivery.message, queue, maxMessageBytes);
        if (decoded.ok) yield toReceived(delivery, decoded.value, queue.name);
        // Should storing the dead letter fail, the message goes back to its queue and comes again.
        else await delivery.deadLetter(decoded.failure).catch(() => {});
      }
    } finally {
      unlisten?.();
    }
    if (this.#error !== undefined) throw this.#error;
  }

  #end(error: unknown): void {
    this.#ended = true;
    this.#error = error;
    this.#wake();
  }

  /** The next delivery, or undefined at the end. */
  async #next(): Promise<Delivery | undefined> {
    while (!this.#ended) {
      const delivery = this.#deliveries.shift();
      if (delivery !== undefined) return delivery;
      const woken = new Deferred();
      this.#wake = woken.resolve;
      await woken.promise;
    }
    return undefined;
  }
}

function toReceived<Out>(delivery: Delivery, value: Out, queue: string): Received<Out> {
  const { message, attempt, redelivered } = delivery;
  return {
    value,
    queue,
    id: message.id,
    attempt,
    redelivered,
    headers: message.headers,
    timestamp: message.timestamp,
    correlationId: message.correlationId,
    replyTo: message.replyTo,
    ack: () => delivery.ack(),
    retry: async (delayMs, error = 'no reason given') => {
      const checked = integerOption('delayMs', delayMs, { min: 0, max: MAX_DELAY_MS, default: 0 });
      await delivery.retry(checked, { code: 'failed', error: errorText(error) });
    },
    deadLetter: (error) => delivery.deadLetter({ code: 'rejected', error: errorText(error) }),
    release: () => delivery.release(),
  };
}
