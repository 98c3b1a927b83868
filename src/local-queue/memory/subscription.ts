import { clearInterval, setImmediate, setInterval } from 'node:timers';
import type { Delivery, SubscribeOptions, Subscription } from '../../broker.js';
import { Deferred } from '../../common/limits.js';
import { MAX_DELAY_MS } from '../../common/options.js';
import { QueueError } from '../../errors.js';
import { MemoryDelivery } from './delivery.js';
import type { MemoryQueue } from './queue.js';
import type { StoredMessage } from './stored-message.js';

/**
 *   active ──cancel()──► cancelled ──close(), the broker's close──► closed
 *     └──close(), the broker's close────────────────────────────────► ▲
 */
export class MemorySubscription implements Subscription {
  readonly #queue: MemoryQueue;
  readonly #prefetch: number;
  readonly #onLost: SubscribeOptions['onLost'];
  readonly #onDelivery: (delivery: Delivery) => void;
  /** At most `prefetch`. Each knows its position here; the last one fills a gap. */
  readonly #unsettled: MemoryDelivery[] = [];
  #state: 'active' | 'cancelled' | 'closed' = 'active';
  /** A subscriber keeps the process alive, as the socket to a broker would. */
  readonly #keepAlive = setInterval(() => {}, MAX_DELAY_MS);
  readonly #ended = new Deferred();

  constructor(queue: MemoryQueue, options: SubscribeOptions, onDelivery: (delivery: Delivery) => void) {
    this.#queue = queue;
    this.#prefetch = options.prefetch;
    this.#onLost = options.onLost;
    this.#onDelivery = onDelivery;
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get hasCredit(): boolean {
    return this.#unsettled.length < this.#prefetch;
  }

  deliver(stored: StoredMessage): void {
    const delivery = new MemoryDelivery(stored, this.#queue, this, this.#unsettled.length);
    this.#unsettled.push(delivery);
    try {
      this.#onDelivery(delivery);
    } catch (error) {
      // It must not throw. Should it do so, the error surfaces as uncaught, and the queue goes on.
      setImmediate(() => {
        throw error;
      });
    }
  }

  /** The delivery is settled: there is credit for another one. */
  settled(delivery: MemoryDelivery): void {
    const last = this.#unsettled.pop();
    if (last !== undefined && last !== delivery) {
      last.position = delivery.position;
      this.#unsettled[last.position] = last;
    }
    this.#queue.wake();
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
    this.#end(new QueueError('CLOSED', `the subscription to '${this.#queue.name}' was closed`), undefined);
  }

  /** The broker is closed: the subscriber, who did not ask for it, is told what it lost. */
  endByBroker(error: QueueError): void {
    this.#end(error, this.#onLost);
  }

  #leave(): void {
    if (this.#state !== 'active') return;
    this.#state = 'cancelled';
    clearInterval(this.#keepAlive);
    this.#queue.leave(this);
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
