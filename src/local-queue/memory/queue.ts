import type { PublishOptions, QueueSpec } from '../../broker.js';
import { expiredFailure } from '../../common/message/expiry.js';
import { Deferred } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import { type DeadLetterTarget, deadLetterTargetOf } from '../local-broker.js';
import type { Waiter } from '../wait-list.js';
import { DelayedMessages } from './delayed-messages.js';
import { EventLoopYield } from './event-loop-yield.js';
import { ExpiryTimer } from './expiry-timer.js';
import { FlowMeter } from './flow-meter.js';
import { ReadyMessages } from './ready-messages.js';
import { deadLetterOf, type StoredMessage } from './stored-message.js';
import { WaitingPublishes } from './waiting-publishes.js';

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

/** The broker, as its queues see it. */
interface QueueBroker {
  /** The last subscriber has left. */
  onAbandoned(queue: MemoryQueue): void;
  /** The queue has room that none of its own publishers needed, or it has ended. */
  onRoom(): void;
  /** Where the dead letters of a queue go; created again if it was removed. Undefined: they are dropped. */
  ensureDeadLetterQueue(queue: MemoryQueue): MemoryQueue | undefined;
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
  deadLetterTarget: DeadLetterTarget = deadLetterTargetOf(undefined);
  /** Its subscribers get nothing; `wake` is to follow when that changes. */
  paused = false;

  readonly #broker: QueueBroker;
  readonly #ready = new ReadyMessages();
  readonly #expiry = new ExpiryTimer(() => this.#removeExpired());
  readonly delayed = new DelayedMessages((stored) => this.#arrive(stored));
  /** While publishes wait, the queue is at its capacity; so a publish that finds room overtakes none. */
  readonly #waiting: WaitingPublishes;
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

  constructor(spec: QueueSpec, defaultCapacity: number, broker: QueueBroker) {
    this.name = spec.name;
    this.spec = spec;
    this.defaultCapacity = defaultCapacity;
    this.onExpired = spec.onExpired;
    this.capacity = spec.capacity ?? defaultCapacity;
    this.#broker = broker;
    this.#waiting = new WaitingPublishes(this);
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
    return this.#waiting.join(stored, options);
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
    this.#admitWaiting();
  }

  /** Returns a delivered message to its old position. */
  putBack(stored: StoredMessage): void {
    if (this.#ended) return; // The message is gone, as its queue is.
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
    this.#admitWaiting();
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
    if (this.#subscriptions.length === 0) this.#broker.onAbandoned(this);
  }

  /** Where its dead letters go; created again if it was removed. Undefined: they are dropped. */
  ensureDeadLetterQueue(): MemoryQueue | undefined {
    return this.#broker.ensureDeadLetterQueue(this);
  }

  /** Ends a removed queue. Waiting publishers get the error; messages that return later are gone. */
  end(error: () => QueueError): void {
    this.#ended = true;
    this.#waiting.end(error);
    this.delayed.clear();
    this.#expiry.stop();
    this.#ready.clear();
    this.#broker.onRoom();
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
    if (expired.length === 0) return;
    const target = this.onExpired === 'drop' ? undefined : this.ensureDeadLetterQueue();
    for (const stored of expired) {
      const failure = expiredFailure(stored.message.expiresAt);
      target?.enterOver(deadLetterOf(stored, this.name, failure));
    }
    this.#admitWaiting();
  }

  #admitWaiting(): void {
    this.#waiting.admit();
    if (this.hasRoom) this.#broker.onRoom();
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
