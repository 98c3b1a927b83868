import type { Destination, Message, PublishOptions } from '../../broker.js';
import type { QueueError } from '../../errors.js';
import { type FanOutEntry, FanOutLines } from '../fan-out-lines.js';
import { unrouted } from '../local-broker.js';
import { type Waiter, WaitList } from '../wait-list.js';
import { EventLoopYield } from './event-loop-yield.js';
import { type MemoryQueue, PUBLISHES_PER_TURN } from './queue.js';
import { StoredMessage } from './stored-message.js';
import { fullError } from './waiting-publishes.js';

interface WaitingPublish extends FanOutEntry {
  readonly message: Message;
  /** Where it was found to have to wait: one of its queues, which was full then. */
  blocked?: { readonly by: MemoryQueue; readonly among: readonly MemoryQueue[] } | undefined;
}

type Waiting = Waiter<WaitingPublish, boolean>;

const STORED: Promise<boolean> = Promise.resolve(true);

/**
 * Stores a message in several queues at once, or in none: it waits until all of them have room. Messages that wait for
 * the same queue keep their order; messages for other queues pass them.
 */
export class FanOuts {
  readonly #waiting = new FanOutLines<Waiting, WaitList<WaitingPublish, boolean>>(
    () => new WaitList({ action: 'publishing to several queues', unmet: 'no room in one of them' }),
    ({ payload }) => payload,
  );
  #lastNumber = 0;
  /** The queues that take a message now; they may change while it waits. */
  readonly #route: (to: Destination) => readonly MemoryQueue[];
  readonly #inflow = new EventLoopYield(PUBLISHES_PER_TURN);
  /** Whether `admit` is running: the queues that it changes call it again. */
  #admitting = false;

  constructor(route: (to: Destination) => readonly MemoryQueue[]) {
    this.#route = route;
  }

  /**
   * Stores it in these queues, of which there is at least one; if it has to wait, in those that take it then. Resolves to
   * whether any did, unless that is an error. Throws `FULL`, and as `WaitList.join` does.
   */
  publish(
    message: Message,
    to: Destination,
    queues: readonly MemoryQueue[],
    options: PublishOptions | undefined,
  ): Promise<boolean> {
    const full = this.#full(queues);
    if (full === undefined) {
      store(message, queues);
      return this.#inflow.step() ?? STORED;
    }
    if (options?.noWait === true) throw fullError(full);
    const { exchange, routingKey } = to;
    const waiting: WaitingPublish = { message, to: { exchange, routingKey }, number: ++this.#lastNumber };
    const { promise } = this.#waiting.lineTo(to).join(waiting, options);
    // A message that gives up may have blocked others.
    promise.catch(() => this.admit());
    return promise.then((isRouted) => isRouted || unrouted(to, message, true, options));
  }

  /** Throws `FULL`. */
  publishNow(message: Message, queues: readonly MemoryQueue[]): void {
    const full = this.#full(queues);
    if (full !== undefined) throw fullError(full);
    store(message, queues);
  }

  /** Called when a queue may have room, or was removed. */
  admit(): void {
    if (this.#admitting || this.#waiting.isEmpty) return;
    // Each message that leaves one of a thousand queues would cost a look at all of them.
    if (this.#waiting.everyFirst(({ payload }) => this.#isStillBlocked(payload))) return;
    this.#admitting = true;
    const claimed = new Set<MemoryQueue>();
    this.#waiting.serve((waiter) => {
      const { message, to } = waiter.payload;
      const queues = this.#route(to);
      // The last one: queues of the same pace make room in the order of their copies.
      const by = queues.findLast((queue) => !queue.hasRoom || claimed.has(queue));
      if (by === undefined) {
        store(message, queues);
        waiter.resolve(queues.length > 0);
        return true;
      }
      waiter.payload.blocked = { by, among: queues };
      for (const queue of queues) claimed.add(queue);
      return false;
    });
    this.#admitting = false;
  }

  /** Whether it has the same queues as when it was looked at, and the full one is still full. */
  #isStillBlocked({ to, blocked }: WaitingPublish): boolean {
    return blocked !== undefined && !blocked.by.hasRoom && this.#route(to) === blocked.among;
  }

  end(error: () => QueueError): void {
    for (const to of this.#waiting.destinations) this.#waiting.lineTo(to).cancelAll(error);
  }

  /** One of these queues that has no room, or for which an earlier message waits. */
  #full(queues: readonly MemoryQueue[]): MemoryQueue | undefined {
    return queues.find(isFull) ?? this.#claimed(queues);
  }

  /** One of these queues for which an earlier message waits. */
  #claimed(queues: readonly MemoryQueue[]): MemoryQueue | undefined {
    // At once, since it is the rule: a copy costs little more than a send.
    if (this.#waiting.isEmpty) return undefined;
    for (const to of this.#waiting.destinations) {
      const claimed = this.#route(to).find((queue) => queues.includes(queue));
      if (claimed !== undefined) return claimed;
    }
    return undefined;
  }
}

function isFull(queue: MemoryQueue): boolean {
  return !queue.hasRoom;
}

/** All of them have room. */
function store(message: Message, queues: readonly MemoryQueue[]): void {
  for (const queue of queues) queue.enterOver(new StoredMessage(message, 1, false));
}
