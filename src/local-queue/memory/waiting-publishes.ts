import type { PublishOptions } from '../../broker.js';
import { QueueError } from '../../errors.js';
import { type Waiter, WaitList } from '../wait-list.js';
import type { StoredMessage } from './stored-message.js';

/** A queue with a capacity. */
interface BoundedQueue {
  readonly name: string;
  readonly capacity: number;
  readonly hasRoom: boolean;
  /** Stores a message. */
  enterOver(stored: StoredMessage): void;
}

/** Publishes and dead letters that wait until a full queue has room, first come, first served. */
export class WaitingPublishes {
  readonly #queue: BoundedQueue;
  readonly #list: WaitList<StoredMessage, true>;

  constructor(queue: BoundedQueue) {
    this.#queue = queue;
    this.#list = new WaitList({
      action: `publishing to '${queue.name}'`,
      unmet: `no room (the capacity is ${queue.capacity})`,
    });
  }

  /** Waits for room. Throws `FULL`, and as `WaitList.join` does. */
  join(stored: StoredMessage, options: PublishOptions | undefined): Waiter<StoredMessage, true> {
    if (options?.noWait === true) throw fullError(this.#queue);
    return this.#list.join(stored, options);
  }

  /** Stores those that have waited longest, as many as there is room for. */
  admit(): void {
    while (this.#queue.hasRoom) {
      const publish = this.#list.first;
      if (publish === undefined) return;
      this.#queue.enterOver(publish.payload);
      publish.resolve(true);
    }
  }

  /** The queue has ended. */
  end(error: () => QueueError): void {
    this.#list.cancelAll(error);
  }
}

export function fullError({ name, capacity }: Pick<BoundedQueue, 'name' | 'capacity'>): QueueError {
  return new QueueError('FULL', `the queue '${name}' is at its capacity of ${capacity} messages`);
}
