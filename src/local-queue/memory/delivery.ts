import type { Delivery, Failure, Message } from '../../broker.js';
import { deadLetterHeaders, retryHeaders } from '../../common/history-headers.js';
import { durationOption } from '../../common/options.js';
import type { QueueError } from '../../errors.js';
import type { Waiter } from '../wait-list.js';
import type { MemoryQueue } from './queue.js';
import { handOut, StoredMessage, withHeaders } from './stored-message.js';
import type { MemorySubscription } from './subscription.js';

const DONE: Promise<void> = Promise.resolve();

/**
 *   unsettled ──ack(), retry(), release()──────────────────► settled
 *     │    └────deadLetter(), there is room─────────────────► ▲ ▲
 *     │    └────lost: the message goes back──────────────────┘ │
 *     └─────────deadLetter(), no room──► moving ──room──────────┤
 *                                           └──lost: goes back──┘
 *
 * The verbs do something in `unsettled` only.
 */
export class MemoryDelivery implements Delivery {
  readonly message: Message;
  readonly attempt: number;
  readonly redelivered: boolean;
  /** Where the subscription keeps it while it is unsettled. For the subscription alone. */
  position: number;
  readonly #stored: StoredMessage;
  readonly #queue: MemoryQueue;
  readonly #subscription: MemorySubscription;
  #state: 'unsettled' | 'moving' | 'settled' = 'unsettled';
  /** The wait for room in the dead-letter queue. Meanwhile the message keeps its place in its own. */
  #moving: Waiter<StoredMessage, void> | undefined = undefined;

  constructor(stored: StoredMessage, queue: MemoryQueue, subscription: MemorySubscription, position: number) {
    this.message = handOut(stored.message);
    this.attempt = stored.attempt;
    this.redelivered = stored.redelivered;
    this.position = position;
    this.#stored = stored;
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
    try {
      const delay = durationOption('delayMs', delayMs, { default: 0 });
      if (this.#state !== 'unsettled') return DONE;
      const { message } = this.#stored;
      const attempt = this.attempt + 1;
      const headers = retryHeaders(message.headers, attempt, failure);
      this.#state = 'settled';
      this.#queue.retry(new StoredMessage(withHeaders(message, headers), attempt, true), delay);
      this.#subscription.settled(this);
      return DONE;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  deadLetter(failure: Failure): Promise<void> {
    if (this.#state !== 'unsettled') return DONE;
    const target = this.#queue.deadLetterQueue;
    if (target === undefined) {
      this.#finish();
      return DONE;
    }
    try {
      this.#moving = target.enter(this.#letter(failure));
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
        this.#goBack();
        throw error;
      },
    );
  }

  /** Takes the message from the subscriber. False where it turns out to be a dead letter already. */
  lose(error: QueueError): boolean {
    this.#moving?.cancel(error);
    if (this.#moving?.resolved) {
      // There was room a moment ago, and the continuation of the wait has not run yet.
      this.#finish();
      return false;
    }
    this.#goBack();
    return true;
  }

  #letter(failure: Failure): StoredMessage {
    const { message } = this.#stored;
    const history = { queue: this.#queue.name, attempt: this.attempt, failure };
    return new StoredMessage(withHeaders(message, deadLetterHeaders(message.headers, history)), 1, false);
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
    this.#queue.putBack(this.#stored);
    this.#subscription.settled(this);
  }
}
