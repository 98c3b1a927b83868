import type { PublishOptions, QueueSpec } from '../../broker.js';
import { expiredFailure } from '../../common/expiry.js';
import { Deferred } from '../../common/waiting.js';
import { QueueError } from '../../errors.js';
import { type Waiter, WaitList } from '../wait-list.js';
import { DelayedMessages } from './delayed-messages.js';
import { EventLoopYield } from './event-loop-yield.js';
import { ExpiryTimer } from './expiry-timer.js';
import { FlowMeter } from './flow-meter.js';
import { ReadyMessages } from './ready-messages.js';
import { deadLetterOf, type StoredMessage } from './stored-message.js';

/** A subscription, as its queue sees it. */
interface Subscriber {
  /** Whether it has room for another delivery. */
  readonly hasCredit: boolean;
  /** Whether it only inspects messages, and so gets them even from a paused queue. */
  readonly inspects: boolean;
  /** Must not throw. */
  deliver(stored: StoredMessage): void;
}

/** Shared by every publish that need not wait. */
const STORED: Promise<true> = Promise.resolve(true);

/** The reports of a queue to its broker. */
interface QueueListener {
  /** The last subscriber has left. */
  onAbandoned(queue: MemoryQueue): void;
  /** The queue has room that none of its own publishers needed, or it has ended. */
  onRoom(): void;
}

/** Fewer in than out, so that a queue without a bound does not grow just because of the turns. */
export const PUBLISHES_PER_TURN = 128;
const DELIVERIES_PER_TURN = 256;

/**
 * One queue of the broker in memory. Each message is in one of three states:
 *
 *   publish ──► ready ──delivery──► unsettled ──ack, dead letter──► gone
 *                ▲ ▲                  │    │
 *                │ └─release, loss────┘    │
 *                └──due──── delayed ◄──────┘ retry
 *
 * All three count towards the capacity, so memory is bounded even if every message fails, and a message that returns or is
 * retried never has to wait for room.
 */
export class MemoryQueue {
  readonly name: string;
  readonly spec: QueueSpec;
  readonly capacity: number;
  /** The capacity if the spec has none. */
  readonly defaultCapacity: number;
  /** According to the latest definition. */
  onExpired: QueueSpec['onExpired'];
  /** Undefined: dead letters are dropped. */
  deadLetterQueue: MemoryQueue | undefined = undefined;
  /** Its subscribers get nothing; `wake` is to follow when that changes. */
  paused = false;

  readonly #listener: QueueListener;
  readonly #ready = new ReadyMessages();
  readonly #expiry = new ExpiryTimer(() => this.#removeExpired());
  readonly delayed = new DelayedMessages((stored) => this.#arrive(stored));
  /** While publishers wait here, the queue is at its capacity; so a publish that finds room overtakes none. */
  readonly #publishers: WaitList<StoredMessage, true>;
  /** How many messages are ready, unsettled or delayed. */
  #held = 0;
  readonly flow = new FlowMeter();
  #ended = false;

  readonly #subscriptions: Subscriber[] = [];
  /** The index of the subscription that is served next. */
  #nextSubscriber = 0;
  /** Whether `#dispatch` runs or is going to. */
  #dispatching = false;
  /** Runs `#dispatch` in a microtask. Replaced by `#arm` each time. */
  #ring: () => void = () => {};
  readonly #inflow = new EventLoopYield(PUBLISHES_PER_TURN);
  readonly #outflow = new EventLoopYield(DELIVERIES_PER_TURN);

  constructor(spec: QueueSpec, defaultCapacity: number, listener: QueueListener) {
    this.name = spec.name;
    this.spec = spec;
    this.defaultCapacity = defaultCapacity;
    this.onExpired = spec.onExpired;
    this.capacity = spec.capacity ?? defaultCapacity;
    this.#listener = listener;
    this.#publishers = new WaitList({
      action: `publishing to '${this.name}'`,
      unmet: `no room (the capacity is ${this.capacity})`,
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Whether `enter` takes a message at once. */
  get hasRoom(): boolean {
    return this.#held < this.capacity;
  }

  publish(stored: StoredMessage, options: PublishOptions | undefined): Promise<true> {
    const waiter = this.enter(stored, options);
    return waiter === undefined ? (this.#inflow.step() ?? STORED) : waiter.promise;
  }

  /**
   * Accepts a new message: at once (undefined), or when there is room. Throws `UNROUTABLE`, `FULL`, and as
   * `WaitList.join` does.
   */
  enter(stored: StoredMessage, options?: PublishOptions): Waiter<StoredMessage, true> | undefined {
    if (this.#ended) throw new QueueError('UNROUTABLE', `the queue '${this.name}' was deleted`);
    if (!this.hasRoom) this.#removeExpired();
    if (this.hasRoom) {
      this.enterOver(stored);
      return undefined;
    }
    if (options?.noWait === true) {
      throw new QueueError(
        'FULL',
        `the queue '${this.name}' is at its capacity of ${this.capacity} messages`,
      );
    }
    return this.#publishers.join(stored, options);
  }

  /** Accepts a message whether there is room or not: a dead letter, for which nothing waits. */
  enterOver(stored: StoredMessage): void {
    this.#held++;
    this.flow.stored++;
    this.#arrive(stored);
  }

  /** Called when a delivered message is settled for good. */
  remove(): void {
    this.#held--;
    this.flow.settled++;
    this.#admitPublishers();
  }

  /** Returns a delivered message to its old position. */
  putBack(stored: StoredMessage): void {
    stored.redelivered = true;
    this.#ready.unshift(stored);
    this.#noteExpiry(stored);
    this.wake();
  }

  /** Replaces a delivered message by `stored`, which enters the end of the queue later. */
  retry(stored: StoredMessage, delayMs: number): void {
    if (this.#ended) return; // A timer would keep the message in memory.
    if (delayMs === 0) this.#arrive(stored);
    else this.delayed.add(stored, delayMs);
  }

  purge(): number {
    this.#removeExpired();
    const purged = this.#ready.clear();
    this.#held -= purged;
    this.#admitPublishers();
    return purged;
  }

  /** How many messages are ready, unsettled or delayed, once the expired ones are removed. */
  countHeld(): number {
    this.#removeExpired();
    return this.#held;
  }

  /** In the order of their delivery, without expired ones. */
  listReady(): ReadyMessages {
    this.#removeExpired();
    return this.#ready;
  }

  get consumers(): number {
    return this.#subscriptions.length;
  }

  /** Serves a subscriber from now on. */
  join(subscription: Subscriber): void {
    this.#subscriptions.push(subscription);
    this.#arm();
    this.wake();
  }

  leave(subscription: Subscriber): void {
    const position = this.#subscriptions.indexOf(subscription);
    this.#subscriptions.splice(position, 1);
    if (position < this.#nextSubscriber) this.#nextSubscriber--;
    if (this.#subscriptions.length === 0) this.#listener.onAbandoned(this);
  }

  /** Ends a removed queue. Waiting publishers get the error; messages that return later are never delivered. */
  end(error: () => QueueError): void {
    this.#ended = true;
    this.#publishers.cancelAll(error);
    this.delayed.clear();
    this.#expiry.stop();
    this.#ready.clear();
    this.#listener.onRoom();
  }

  /**
   * Delivers the ready messages in a microtask, so that no `onDelivery` runs inside the call of a publisher or a subscriber.
   */
  wake(): void {
    if (this.#dispatching || this.#ready.length === 0 || this.#subscriptions.length === 0) return;
    this.#dispatching = true;
    this.#ring();
  }

  /**
   * A continuation runs in the async context (`AsyncLocalStorage`) in which it was attached. So this one is attached when a
   * subscriber joins, and then after each run, but never when the queue is woken: handlers must not run in the context of
   * whichever call happened to publish or to acknowledge a message.
   */
  #arm(): void {
    const { promise, resolve } = new Deferred();
    this.#ring = resolve;
    // `#dispatch` does not throw.
    promise.then(this.#dispatch);
  }

  readonly #dispatch = (): void => {
    this.#removeExpired();
    while (this.#ready.length > 0) {
      const subscription = this.#nextWithCredit();
      if (subscription === undefined) break;
      const pause = this.#outflow.step();
      if (pause !== undefined) {
        pause.then(this.#dispatch);
        return;
      }
      subscription.deliver(this.#ready.shift() as StoredMessage);
    }
    this.#dispatching = false;
    this.#arm();
  };

  /** The next subscription, in turn, that has room for a message. */
  #nextWithCredit(): Subscriber | undefined {
    const count = this.#subscriptions.length;
    for (let step = 0; step < count; step++) {
      const position = (this.#nextSubscriber + step) % count;
      const subscription = this.#subscriptions[position];
      if (subscription?.hasCredit && (!this.paused || subscription.inspects)) {
        this.#nextSubscriber = position + 1;
        return subscription;
      }
    }
    return undefined;
  }

  #noteExpiry({ message: { expiresAt } }: StoredMessage): void {
    if (expiresAt !== undefined) this.#expiry.add(expiresAt);
  }

  /** Removes expired messages that are ready; others are checked when they are delivered again. */
  #removeExpired(): void {
    if (!this.#expiry.isDue) return;
    const { expired, next } = this.#ready.removeExpired(Date.now());
    this.#expiry.swept(next);
    this.#held -= expired.length;
    const target = this.onExpired === 'drop' ? undefined : this.deadLetterQueue;
    for (const stored of expired) {
      const failure = expiredFailure(stored.message.expiresAt);
      target?.enterOver(deadLetterOf(stored, this.name, failure));
    }
    if (expired.length > 0) this.#admitPublishers();
  }

  /** Gives free room to the publishers that have waited longest. */
  #admitPublishers(): void {
    while (this.hasRoom) {
      const publisher = this.#publishers.first;
      if (publisher === undefined) {
        this.#listener.onRoom();
        return;
      }
      this.enterOver(publisher.payload);
      publisher.resolve(true);
    }
  }

  #arrive(stored: StoredMessage): void {
    if (stored.dueAt !== undefined && stored.dueAt > performance.now()) {
      this.delayed.addAt(stored, stored.dueAt);
      return;
    }
    this.#ready.push(stored);
    this.#noteExpiry(stored);
    this.wake();
  }
}
