/// <reference lib="esnext.disposable" preserve="true" />
import type { WaitOptions } from '../broker.js';
import { booleanOption, checkOptionNames, checkWaitOptions, integerOption } from '../common/options.js';
import { throwIfAborted } from '../common/waiting/waiting.js';
import { QueueError } from '../errors.js';
import { type ItemOrder, type ItemStore, storeFor } from './item-order.js';
import { takeIterator } from './take-iterator.js';
import { WaitList } from './wait-list.js';

export type { ItemOrder } from './item-order.js';

/** Options of `new LocalQueue`. All have defaults. */
export interface LocalQueueOptions<T> {
  /** How many items the queue holds before `put` waits. At least 1, or `Infinity`. Default: 1024. */
  readonly capacity?: number | undefined;
  /** Which item is taken next. Default: `'fifo'`. */
  readonly order?: ItemOrder<T> | undefined;
}

/** How `close` ends a queue. */
export interface CloseOptions {
  /** Drop the items in the queue instead of leaving them to be taken. Default: false. */
  readonly discard?: boolean | undefined;
}

/** Shared by all puts that need not wait, which saves a promise each. */
const DONE: Promise<void> = Promise.resolve();

const DEFAULT_CAPACITY = 1024;

/**
 * A queue within the process, between tasks that put items and tasks that take them. It is bounded: a put into a full queue
 * waits for room. Waiting calls are served first come, first served, and no later call overtakes them.
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
 * `take` settled, because promises do not nest; wrap it in an object if that matters.
 *
 *   open ──close()──► draining ──the last item is taken──► empty
 *     │                   └──close({ discard: true })──────► ▲
 *     └──close({ discard: true })────────────────────────────┘
 *
 * In all states except the first, `closed` is true and `put` rejects with `CLOSED`; in the last one `take` does, too.
 */
export class LocalQueue<T> implements Disposable {
  // Two rules hold between any two calls, because each change restores them before it returns: while a put waits, the
  // queue is full; while a take waits, it is empty. So a call that finds room, or an item, overtakes none.

  /** The maximum number of items. */
  readonly capacity: number;
  readonly #items: ItemStore<T>;
  readonly #priorityOf: ((item: T) => number) | undefined;
  readonly #putters: WaitList<{ readonly item: T; readonly priority: number }, void>;
  readonly #takers = new WaitList<undefined, T>({ action: 'take', unmet: 'no item' });
  readonly #joiners = new WaitList<undefined, void>({ action: 'join', unmet: 'not all items were done' });
  /** The number of items that were taken and not marked as done. */
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

  /** The number of items in the queue. */
  get size(): number {
    return this.#items.length;
  }

  /** Whether `close` was called. Items may still be left in the queue to be taken. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Puts an item in, and waits for room if the queue is full. Rejects: `TIMEOUT` after `timeoutMs` (default: no
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
   * Puts an item in if there is room now, and returns whether there was. Throws `CLOSED` on a closed queue, where no later
   * attempt can succeed, and `INVALID_OPTION` if `order.priority` does not return a number for the item.
   */
  tryPut(item: T): boolean {
    const priority = this.#admissible(item);
    if (this.#items.length >= this.capacity) return false;
    this.#accept(item, priority);
    return true;
  }

  /**
   * Takes the next item, and waits for one if the queue is empty. Rejects: `TIMEOUT` after `timeoutMs` (default: no
   * limit), `ABORTED` by `signal`, `CLOSED` on a closed and empty queue, `INVALID_OPTION`. No item is lost then.
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
   * Takes the next item if there is one now. Undefined means that there is none; if items may be undefined, check `size`
   * first.
   */
  tryTake(): T | undefined {
    return this.#items.length > 0 ? this.#next() : undefined;
  }

  /**
   * Takes at most `max` items (at least 1, or `Infinity`) of those in the queue, in the order of `take`. Waits for one if
   * the queue is empty. Rejects as `take` does.
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
   * Takes items until the queue is closed and empty. Items are taken one at a time, as the loop requests them, so
   * leaving the loop leaves all other items in the queue. Several loops share the items. The iterator's `return()` ends
   * a pending `next()`, which then takes no item.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined> {
    return takeIterator({
      takeNow: () => (this.#items.length > 0 ? { item: this.#next() } : undefined),
      waitForItem: () => (this.#closed ? undefined : this.#takers.join(undefined)),
    });
  }

  /**
   * Closes the queue. Waiting and later puts reject with `CLOSED`. Items in the queue can still be taken; a take after the
   * last item rejects with `CLOSED`. With `discard` the items are dropped instead, and need no `done`. Closing again has
   * no effect, except that `discard` drops the items that are left.
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

  /** Calls `close()`, for `using`. Items in the queue can still be taken. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Marks `count` of the taken items as done, for `join`. Throws `INVALID_OPTION` if there are fewer, which means that the
   * caller has counted wrong.
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
   * Resolves when the queue is empty and all items taken from it are marked as `done`, including items put meanwhile.
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

  /** The priority of the item. Throws if it can't be put at all. */
  #admissible(item: T): number {
    if (this.#closed) throw closedError();
    return this.#priorityOf === undefined ? 0 : this.#priorityOf(item);
  }

  /** Called when there is room. */
  #accept(item: T, priority: number): void {
    const taker = this.#takers.first;
    if (taker === undefined) {
      this.#items.push(item, priority);
    } else {
      this.#inHand++;
      taker.resolve(item);
    }
  }

  /** Called when there is an item. Its room goes to the put that has waited longest. */
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

  /** Like repeated calls of `#next`. The items of waiting puts may come next. */
  #nextMany(taken: T[], max: number): T[] {
    while (this.#putters.first !== undefined && taken.length < max) taken.push(this.#next());
    const count = Math.min(max - taken.length, this.#items.length);
    if (count === 0) return taken;
    this.#inHand += count;
    return this.#items.shiftMany(taken, count);
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
