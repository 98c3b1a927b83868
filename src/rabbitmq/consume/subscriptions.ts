import type { Delivery, QueueSubscription, SubscribeOptions } from '../../broker.js';
import { QueueError } from '../../errors.js';
import type { RetryAndDeadLetterQueues } from '../topology/retry-and-dead-letter-queues.js';
import type { RabbitMqDelivery } from './delivery.js';
import { returnRetriedMessages } from './return-retried-messages.js';
import { RabbitMqSubscription, type SubscriptionParts } from './subscription.js';

/** The subscriptions of a broker, each with another one for the retried messages of its queue. They end together. */
export class Subscriptions {
  readonly #parts: SubscriptionParts;
  readonly #retryAndDeadLetterQueues: RetryAndDeadLetterQueues;
  readonly #open = new Set<RabbitMqSubscription>();
  /** Those that are being opened. Messages may arrive before that is done. */
  readonly #opening = new Set<Promise<unknown>>();
  #isEnding = false;

  constructor(parts: SubscriptionParts, retryAndDeadLetterQueues: RetryAndDeadLetterQueues) {
    this.#parts = parts;
    this.#retryAndDeadLetterQueues = retryAndDeadLetterQueues;
  }

  /** Rejects as `Broker.subscribe` does. */
  async open(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ): Promise<QueueSubscription> {
    const onRedelivery = () => this.#retryAndDeadLetterQueues.noticeRedelivery(queue);
    const opening = this.#openOne(queue, options, onDelivery, { ...this.#parts, onRedelivery });
    this.#opening.add(opening);
    const subscription = await opening.finally(() => this.#opening.delete(opening));
    subscription.ref();
    // A subscriber that only inspects messages retries none.
    if (options.sparesLimit !== true) this.#returnRetriedMessages(queue, subscription);
    return subscription;
  }

  /** Begins the end: no further deliveries, and no further subscriptions. */
  async cancel(): Promise<void> {
    this.#isEnding = true;
    await Promise.all([...this.#open].map((subscription) => subscription.cancel()));
  }

  /** After `cancel`. */
  async end(): Promise<void> {
    await Promise.all([...this.#open].map((subscription) => subscription.endByBroker()));
    await Promise.allSettled(this.#opening);
  }

  /** For as long as the subscription lasts. */
  #returnRetriedMessages(queue: string, subscription: RabbitMqSubscription): void {
    const over = new AbortController();
    subscription.ended.finally(() => over.abort()).catch(() => {});
    const retried = {
      queue,
      readyQueue: this.#retryAndDeadLetterQueues.attendedReadyQueue.bind(
        this.#retryAndDeadLetterQueues,
        queue,
      ),
      subscribe: (
        ready: string,
        options: SubscribeOptions,
        onDelivery: (delivery: RabbitMqDelivery) => void,
      ) => this.#openOne(ready, options, onDelivery, this.#parts),
    };
    void returnRetriedMessages(retried, over.signal);
  }

  async #openOne(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: RabbitMqDelivery) => void,
    parts: SubscriptionParts,
  ): Promise<RabbitMqSubscription> {
    if (this.#isEnding) throw brokerClosed();
    const subscription = new RabbitMqSubscription(queue, options, onDelivery, parts);
    this.#open.add(subscription);
    const forget = () => {
      this.#open.delete(subscription);
      parts.keepAlive.delete(subscription);
    };
    subscription.ended.then(forget, forget);
    try {
      await subscription.start();
    } catch (error) {
      throw this.#isEnding ? brokerClosed() : error;
    }
    return subscription;
  }
}

function brokerClosed(): QueueError {
  return new QueueError('CLOSED', 'the broker was closed');
}
