import { clearInterval, setImmediate, setInterval } from 'node:timers';
import type {
  Delivery,
  Failure,
  HeaderValue,
  Message,
  QueueSubscription,
  SubscribeOptions,
} from '../../broker.js';
import { postponeHeaders, retryHeaders } from '../../common/message/retry-headers.js';
import { durationOption, MAX_DELAY_MS } from '../../common/options.js';
import { Deferred } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import type { Waiter } from '../wait-list.js';
import type { MemoryQueue } from './queue.js';
import { deadLetterOf, handOut, StoredMessage, withHeaders } from './stored-message.js';

/**
 *   active ──cancel()──► cancelled ──close(), the broker's close──► closed
 *     └──close(), the broker's close────────────────────────────────► ▲
 */
export class MemorySubscription implements QueueSubscription {
  readonly queue: MemoryQueue;
  readonly inspects: boolean;
  readonly #prefetch: number;
  readonly #onLost: SubscribeOptions['onLost'];
  readonly #onDelivery: (delivery: Delivery) => void;
  /** Unsettled deliveries, at most `prefetch`. Each knows its index; the last one fills a gap. */
  readonly #unsettled: MemoryDelivery[] = [];
  /** Milliseconds since the epoch. */
  readonly since = Date.now();
  #state: 'active' | 'cancelled' | 'closed' = 'active';
  /** A subscriber keeps the process alive, as the socket to a broker would. */
  readonly #keepAlive = setInterval(() => {}, MAX_DELAY_MS);
  readonly #ended = new Deferred();

  constructor(queue: MemoryQueue, options: SubscribeOptions, onDelivery: (delivery: Delivery) => void) {
    this.queue = queue;
    this.inspects = options.sparesLimit === true;
    this.#prefetch = options.prefetch;
    this.#onLost = options.onLost;
    this.#onDelivery = onDelivery;
    // `ended` may be ignored without an unhandled rejection.
    this.ended.catch(() => {});
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Whether it gets further deliveries. */
  get isActive(): boolean {
    return this.#state === 'active';
  }

  /** Those that were delivered and are not settled. */
  get unsettled(): readonly Pick<MemoryDelivery, 'stored' | 'since'>[] {
    return this.#unsettled;
  }

  get hasCredit(): boolean {
    return this.#unsettled.length < this.#prefetch;
  }

  deliver(stored: StoredMessage): void {
    const delivery = new MemoryDelivery(stored, this.queue, this, this.#unsettled.length);
    this.#unsettled.push(delivery);
    try {
      this.#onDelivery(delivery);
    } catch (error) {
      // It must not throw. If it does, the error becomes an uncaught exception, and the queue continues.
      setImmediate(() => {
        throw error;
      });
    }
  }

  /** Called when a delivery is settled, which makes room for another one. */
  settled(delivery: MemoryDelivery): void {
    const last = this.#unsettled.pop();
    if (last !== undefined && last !== delivery) {
      last.position = delivery.position;
      this.#unsettled[last.position] = last;
    }
    this.queue.wake();
  }

  unref(): void {
    this.#keepAlive.unref();
  }

  ref(): void {
    this.#keepAlive.ref();
  }

  async cancel(): Promise<void> {
    this.#leave();
  }

  async close(): Promise<void> {
    this.#end(new QueueError('CLOSED', `the subscription to '${this.queue.name}' was closed`), undefined);
  }

  /** Called when the broker is closed. Reports unsettled deliveries as lost, since the subscriber did not close itself. */
  endByBroker(error: QueueError): void {
    this.#end(error, this.#onLost);
  }

  /** The queue was removed. */
  endByRemoval(error: QueueError): void {
    this.#ended.reject(error);
    this.#end(error, this.#onLost);
  }

  #leave(): void {
    if (this.#state !== 'active') return;
    this.#state = 'cancelled';
    clearInterval(this.#keepAlive);
    this.queue.leave(this);
  }

  #end(error: QueueError, onLost: SubscribeOptions['onLost']): void {
    if (this.#state === 'closed') return;
    this.#leave();
    this.#state = 'closed';
    for (const delivery of [...this.#unsettled]) {
      if (delivery.lose(error)) onLost?.(delivery, error);
    }
    this.#ended.resolve();
  }
}

const DONE: Promise<void> = Promise.resolve();

/**
 *   unsettled ──ack(), retry(), postpone(), release()──────► settled
 *     │    └────deadLetter(), there is room─────────────────► ▲ ▲
 *     │    └────lost: the message goes back──────────────────┘ │
 *     └─────────deadLetter(), no room──► moving ──room──────────┤
 *                                           └──lost: goes back──┘
 *
 * The methods have an effect in the state `unsettled` only.
 */
class MemoryDelivery implements Delivery {
  readonly message: Message;
  readonly attempt: number;
  readonly redelivered: boolean;
  /** Its index among the unsettled deliveries. For the subscription only. */
  position: number;
  readonly stored: StoredMessage;
  /** When it was delivered. Milliseconds since the epoch. */
  readonly since = Date.now();
  readonly #queue: MemoryQueue;
  readonly #subscription: MemorySubscription;
  #state: 'unsettled' | 'moving' | 'settled' = 'unsettled';
  /** The wait for room in the dead-letter queue. Meanwhile the message counts in its own queue. */
  #moving: Waiter<StoredMessage, true> | undefined = undefined;

  constructor(stored: StoredMessage, queue: MemoryQueue, subscription: MemorySubscription, position: number) {
    this.message = handOut(stored.message);
    this.attempt = stored.attempt;
    this.redelivered = stored.redelivered;
    this.position = position;
    this.stored = stored;
    this.#queue = queue;
    this.#subscription = subscription;
  }

  ack(): void {
    if (this.#state === 'unsettled') this.#finish();
  }

  release(): void {
    if (this.#state === 'unsettled') this.#goBack();
  }

  retry(delayMs: number, failure: Failure): Promise<void> {
    const attempt = this.attempt + 1;
    return this.#redeliver(delayMs, attempt, (headers) => retryHeaders(headers, attempt, failure));
  }

  postpone(delayMs: number): Promise<void> {
    return this.#redeliver(delayMs, this.attempt, (headers) => postponeHeaders(headers, this.attempt));
  }

  #redeliver(
    delayMs: number,
    attempt: number,
    change: (headers: Message['headers']) => Record<string, HeaderValue>,
  ): Promise<void> {
    try {
      const delay = durationOption('delayMs', delayMs, { default: 0 });
      if (this.#state !== 'unsettled') return DONE;
      const { message } = this.stored;
      const headers = change(message.headers);
      this.#state = 'settled';
      this.#queue.retry(new StoredMessage(withHeaders(message, headers), attempt, true), delay);
      this.#subscription.settled(this);
      return DONE;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  deadLetter(failure: Failure): Promise<void> {
    return this.#state === 'unsettled' ? this.#moveToDeadLetters(failure) : DONE;
  }

  #moveToDeadLetters(failure: Failure): Promise<void> {
    const target = this.#queue.ensureDeadLetterQueue();
    if (target === undefined) {
      this.#finish();
      return DONE;
    }
    try {
      this.#moving = target.enter(deadLetterOf(this.stored, this.#queue.name, failure));
    } catch (error) {
      this.#goBack();
      return Promise.reject(error);
    }
    if (this.#moving === undefined) {
      this.#finish();
      return DONE;
    }
    this.#state = 'moving';
    return this.#moving.promise.then(
      () => this.#finish(),
      (error) => {
        // The dead-letter queue was removed meanwhile: the message goes to a new one.
        if (this.#state === 'moving' && target.ended) return this.#moveToDeadLetters(failure);
        this.#goBack();
        throw error;
      },
    );
  }

  /** Takes the message from the subscriber. False if it has just become a dead letter. */
  lose(error: QueueError): boolean {
    this.#moving?.cancel(error);
    if (this.#moving?.resolved) {
      // The wait for room has just ended, but its continuation has not run yet.
      this.#finish();
      return false;
    }
    this.#goBack();
    return true;
  }

  #finish(): void {
    if (this.#state === 'settled') return;
    this.#state = 'settled';
    this.#queue.remove();
    this.#subscription.settled(this);
  }

  #goBack(): void {
    if (this.#state === 'settled') return;
    this.#state = 'settled';
    this.#queue.putBack(this.stored);
    this.#subscription.settled(this);
  }
}
