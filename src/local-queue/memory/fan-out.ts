import type { Destination, Message, PublishOptions } from '../../broker.js';
import { QueueError } from '../../errors.js';
import { WaitList } from '../wait-list.js';
import { EventLoopYield } from './event-loop-yield.js';
import { type MemoryQueue, PUBLISHES_PER_TURN } from './queue.js';
import { StoredMessage } from './stored-message.js';

interface WaitingFanOut {
  readonly message: Message;
  readonly to: Destination;
}

const STORED: Promise<boolean> = Promise.resolve(true);
const UNROUTED: Promise<boolean> = Promise.resolve(false);

/**
 * Stores a message in several queues at once, or in none: it waits until all of them have room. Messages that wait for
 * the same queue keep their order; messages for other queues pass them.
 */
export class FanOuts {
  readonly #waiting = new WaitList<WaitingFanOut, boolean>({
    action: 'publishing to several queues',
    unmet: 'no room in one of them',
  });
  /** The queues that take a message now; they may change while it waits. */
  readonly #route: (to: Destination) => readonly MemoryQueue[];
  readonly #inflow = new EventLoopYield(PUBLISHES_PER_TURN);
  /** Whether `admit` is running: the queues that it changes call it again. */
  #admitting = false;

  constructor(route: (to: Destination) => readonly MemoryQueue[]) {
    this.#route = route;
  }

  /** Resolves to whether any queue took it. Throws `FULL`, and as `WaitList.join` does. */
  publish(
    message: Message,
    to: Destination,
    queues: readonly MemoryQueue[],
    options: PublishOptions | undefined,
  ): Promise<boolean> {
    if (queues.length === 0) return UNROUTED;
    if (options?.noWait === true || this.#full(queues) === undefined) {
      this.publishNow(message, queues);
      return this.#inflow.step() ?? STORED;
    }
    const { exchange, routingKey } = to;
    const { promise } = this.#waiting.join({ message, to: { exchange, routingKey } }, options);
    // A message that gives up may have blocked others.
    promise.catch(() => this.admit());
    return promise;
  }

  /** Throws `FULL`. */
  publishNow(message: Message, queues: readonly MemoryQueue[]): void {
    const full = this.#full(queues);
    if (full !== undefined) {
      const why = `the queue '${full.name}' is at its capacity of ${full.capacity} messages`;
      throw new QueueError('FULL', why);
    }
    for (const queue of queues) queue.enter(new StoredMessage(message, 1, false));
  }

  /** Called when a queue may have room, or was removed. */
  admit(): void {
    if (this.#admitting || this.#waiting.first === undefined) return;
    this.#admitting = true;
    const claimed = new Set<MemoryQueue>();
    for (const waiter of [...this.#waiting]) {
      const { message, to } = waiter.payload;
      const queues = this.#route(to);
      if (queues.every((queue) => queue.hasRoom && !claimed.has(queue))) {
        store(message, queues);
        waiter.resolve(queues.length > 0);
      } else {
        for (const queue of queues) claimed.add(queue);
      }
    }
    this.#admitting = false;
  }

  end(error: () => QueueError): void {
    this.#waiting.cancelAll(error);
  }

  /** One of these queues that has no room, or for which an earlier message waits. */
  #full(queues: readonly MemoryQueue[]): MemoryQueue | undefined {
    return queues.find(({ hasRoom }) => !hasRoom) ?? this.#claimed(queues);
  }

  /** One of these queues for which an earlier message waits. */
  #claimed(queues: readonly MemoryQueue[]): MemoryQueue | undefined {
    for (const { payload } of this.#waiting) {
      const claimed = this.#route(payload.to).find((queue) => queues.includes(queue));
      if (claimed !== undefined) return claimed;
    }
    return undefined;
  }
}

function store(message: Message, queues: readonly MemoryQueue[]): void {
  for (const queue of queues) queue.enter(new StoredMessage(message, 1, false));
}
