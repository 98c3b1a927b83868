import type { WaitOptions } from '../broker.js';
import { booleanOption, checkOptionNames, integerOption } from '../common/options.js';
import { isQueueError, QueueError } from '../errors.js';
import { type ItemOrder, type ItemStore, storeFor } from './item-order.js';
import { checkWaitOptions, throwIfAborted, WaitList } from './wait-list.js';

export interface LocalQueueOptions<T> {
  /** How many items the queue holds before `put` waits. 1 and more, or `Infinity`. Default: 1024. */
  readonly capacity?: number | undefined;
  /** Which item is taken next. Default: `'fifo'`. */
  readonly order?: ItemOrder<T> | undefined;
}

export interface CloseOptions {
  /** Drop the items that are in the queue, instead of leaving them to be taken. Default: false. */
  readonly discard?: boolean | undefined;
}

/** Shared by every put that need not wait, so that those cost no promise. */
const DONE: Promise<void> = Promise.resolve();

const DEFAULT_CAPACITY = 1024;

/**
 * A queue within the process, between tasks that put and tasks that take. Bounded: who puts into a full queue
 * waits until there is room. Those who wait are served first come, first served, and nobody overtakes them.
 *
 * ```ts
 * const queue = new LocalQueue<string>({ capacity: 100 });
 *
 * async function produce() {
 *   for await (const line of lines) await queue.put(line); // waits while 100 lines are in the queue
 *   queue.close();
 * }
 *
 * async function consume() {
 *   for await (const line of queue) await handle(line);    // ends when the queue is closed and empty
 * }
 *
 * await Promise.all([produce(), consume(), consume()]);
 * ```
 *
 * Items are any values, held by reference until they are taken. An item that is itself a promise comes out of
 * `take` settled, because promises do not nest; put an object around it where that matters.
 *
 *   open ──close()──► draining ──the last item is taken──► empty
 *     │                   └──close({ discard: true })──────► ▲
 *     └──close({ discard: true })────────────────────────────┘
 *
 * In all but the first `closed` is true and putting is refused with `CLOSED`; in the last taking is, too.
 */
export class LocalQueue<T> {
  // Two rules hold between any two calls, because each change restores them before it returns: while somebody waits
  // to put, the queue is full; while somebody waits to take, it is empty. So a call that finds room, or an item,
  // never overtakes anybody.

  /** How many items the queue holds at most. */
  readonly capacity: number;
  readonly #items: ItemStore<T>;
  readonly #priorityOf: ((item: T) => number) | undefined;
  readonly #putters: WaitList<{ readonly item: T; readonly priority: number }, void>;
  readonly #takers = new WaitList<undefined, T>({ action: 'take', unmet: 'no item' });
  readonly #joiners = new WaitList<undefined, void>({ action: 'join', unmet: 'not all items were done' });
  /** Items that were taken and not marked done. */
  #inHand = 0;
  #closed = false;

  /** Throws `INVALID_OPTION`. */
  constructor(options: LocalQueueOptions<T> = {}) {
    checkOptionNames('LocalQueue', options, ['capacity', 'order']);
    this.capacity = integerOption('capacity', options.capacity, {
      min: 1,
      infinity: true,
      default: DEFAULT_CAPACITY,
    });
    const { store, priorityOf } = storeFor(options.order);
    this.#items = store;
    this.#priorityOf = priorityOf;
    this.#putters = new WaitList({ action: 'put', unmet: `no room (the capacity is ${this.capacity})` });
  }

  /** How many items are in the queue now. */
  get size(): number {
    return this.#items.length;
  }

  /** Whether `close` was called. Items that were in the queue by then may still be there to be taken. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Puts an item in, and waits for room where the queue is full. Rejects: `TIMEOUT` after `timeoutMs` (default: no
   * limit), `ABORTED` by `signal`, `CLOSED` by `close`, `INVALID_OPTION`. The item is then not in the queue.
   */
  put(item: T, options?: WaitOptions): Promise<void> {
    try {
      if (options !== undefined) checkWait('put', options);
      const priority = this.#admissible(item);
      if (this.#items.length < this.capacity) {
        this.#accept(item, priority);
        return DONE;
      }
      return this.#putters.join({ item, priority }, options).promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Puts an item in if there is room now, and says whether there was. Throws `CLOSED` on a closed queue, where
   * trying again is vain, and `INVALID_OPTION` where `order.priority` has no number for the item.
   */
  tryPut(item: T): boolean {
    const priority = this.#admissible(item);
    if (this.#items.length >= this.capacity) return false;
    this.#accept(item, priority);
    return true;
  }

  /**
   * Takes the next item, and waits for one where the queue is empty. Rejects: `TIMEOUT` after `timeoutMs` (default:
   * no limit), `ABORTED` by `signal`, `CLOSED` on a closed queue that is empty, `INVALID_OPTION`. No item is lost
   * by that.
   */
  take(options?: WaitOptions): Promise<T> {
    try {
      if (options !== undefined) checkWait('take', options);
      return this.#items.length > 0 ? Promise.resolve(this.#next()) : this.#awaitItem(options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Takes the next item if there is one now. Undefined says that there is none; where undefined may be an item, too,
   * ask `size` first.
   */
  tryTake(): T | undefined {
    return this.#items.length > 0 ? this.#next() : undefined;
  }

  /**
   * Takes what is there, at most `max` items (1 and more, or `Infinity`), in the order in which `take` would. Waits
   * for the first one where the queue is empty. Rejects as `take` does.
   */
  takeMany(max: number, options?: WaitOptions): Promise<T[]> {
    try {
      integerOption('max', max, { min: 1, infinity: true, default: 1 });
      if (options !== undefined) checkWait('takeMany', options);
      if (this.#items.length > 0) return Promise.resolve(this.#nextMany([], max));
      return this.#awaitItem(options).then((first) => this.#nextMany([first], max));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Takes items until the queue is closed and empty. An item is taken when the loop asks for it, none ahead: leaving
   * the loop leaves all others in the queue. Several loops share the items.
   */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    // Not an async generator, which would take three times as long for each item.
    return { next: () => this.#nextResult() };
  }

  /**
   * Ends the queue. Who waits to put is refused with `CLOSED`, as is who puts later. What is in the queue can still
   * be taken; who takes after the last item is refused with `CLOSED`. With `discard` it is dropped instead, and needs
   * no `done`. Closing again does no harm; `discard` then drops what is left.
   *
   * Returns how many items were dropped. Throws `INVALID_OPTION`.
   */
  close(options: CloseOptions = {}): number {
    checkOptionNames('close', options, ['discard']);
    const discard = booleanOption('discard', options.discard, false);
    this.#closed = true;
    this.#putters.cancelAll(closedError);
    this.#takers.cancelAll(closedError);
    const dropped = discard ? this.#items.length : 0;
    if (dropped > 0) {
      this.#items.clear();
      this.#wakeJoiners();
    }
    return dropped;
  }

  /**
   * Says that `count` of the items that were taken are dealt with, for `join`. Throws `INVALID_OPTION` where there
   * are not that many, which is a mistake in the caller's counting.
   */
  done(count = 1): void {
    integerOption('count', count, { min: 1, default: 1 });
    if (count > this.#inHand) {
      throw new QueueError(
        'INVALID_OPTION',
        `done(${count}): only ${this.#inHand} of the items taken are not done yet; call done() once for each item taken`,
      );
    }
    this.#inHand -= count;
    this.#wakeJoiners();
  }

  /**
   * Resolves when the queue is empty and each item taken from it was marked `done`. Items put meanwhile count, too.
   * Rejects: `TIMEOUT`, `ABORTED`, `INVALID_OPTION`.
   */
  join(options?: WaitOptions): Promise<void> {
    try {
      if (options !== undefined) checkWait('join', options);
      return this.#allDone() ? DONE : this.#joiners.join(undefined, options).promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Throws where the item can't be put at all; its priority otherwise. */
  #admissible(item: T): number {
    if (this.#closed) throw closedError();
    return this.#priorityOf === undefined ? 0 : this.#priorityOf(item);
  }

  /** There is room. */
  #accept(item: T, priority: number): void {
    const taker = this.#takers.first;
    if (taker === undefined) {
      this.#items.push(item, priority);
    } else {
      this.#inHand++;
      taker.resolve(item);
    }
  }

  /** There is an item. Its room goes to who has waited longest to put. */
  #next(): T {
    const item = this.#items.shift() as T;
    this.#inHand++;
    const putter = this.#putters.first;
    if (putter !== undefined) {
      this.#items.push(putter.payload.item, putter.payload.priority);
      putter.resolve();
    }
    return item;
  }

  /** As `#next` again and again, which for those who wait to put makes a difference: their items may be next. */
  #nextMany(taken: T[], max: number): T[] {
    while (this.#putters.first !== undefined && taken.length < max) taken.push(this.#next());
    const count = Math.min(max - taken.length, this.#items.length);
    if (count === 0) return taken;
    this.#inHand += count;
    return this.#items.shiftMany(taken, count);
  }

  async #nextResult(): Promise<IteratorResult<T, undefined>> {
    if (this.#items.length > 0) return { done: false, value: this.#next() };
    if (this.#closed) return { done: true, value: undefined };
    return this.#awaitItem(undefined).then(
      (value) => ({ done: false, value }),
      (error) => {
        if (this.#closed && isQueueError(error, 'CLOSED')) return { done: true, value: undefined };
        throw error;
      },
    );
  }

  #awaitItem(options: WaitOptions | undefined): Promise<T> {
    if (this.#closed) throw closedError();
    return this.#takers.join(undefined, options).promise;
  }

  #allDone(): boolean {
    return this.#inHand === 0 && this.#items.length === 0;
  }

  #wakeJoiners(): void {
    if (!this.#allDone()) return;
    while (this.#joiners.first !== undefined) this.#joiners.first.resolve();
  }
}

function checkWait(method: string, options: WaitOptions): void {
  checkOptionNames(method, options, ['signal', 'timeoutMs']);
  checkWaitOptions(options);
  throwIfAborted(options.signal, method);
}

function closedError(): QueueError {
  return new QueueError('CLOSED', 'the queue was closed');
}
