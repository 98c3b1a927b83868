/// <reference lib="esnext.disposable" preserve="true" />
import type { WaitOptions } from '../broker.js';
import { throwIfAborted } from '../common/limits.js';
import { booleanOption, checkOptionNames, checkWaitOptions, integerOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import { type ItemOrder, type ItemStore, storeFor } from './item-order.js';
import { takeIterator } from './take-iterator.js';
import { WaitList } from './wait-list.js';

export type { ItemOrder } from './item-order.js';

/** What `new LocalQueue` takes. All have defaults. */
export interface LocalQueueOptions<T> {
  /** How many items the queue holds before `put` waits. 1 and more, or `Infinity`. Default: 1024. */
  readonly capacity?: number | undefined;
  /** Which item is taken next. Default: `'fifo'`. */
  readonly order?: ItemOrder<T> | undefined;
}

/** How `close` ends a queue. */
export interface CloseOptions {
  /** Drop the items that are in the queue, instead of leaving them to be taken. Default: false. */
  readonly discard?: boolean | undefined;
}

/** Shared by all puts that need not wait, so that those cost no promise. */
const DONE: Promise<void> = Promise.resolve();

const DEFAULT_CAPACITY = 1024;

/**
 * A queue within the process, between tasks that put and tasks that take. It is bounded: a put into a full queue waits
 * until there is room. Waiting calls are served first come, first served, and no later call overtakes them.
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
 * In all states but the first `closed` is true and a put is rejected with `CLOSED`; in the last a take is, too.
 */
export class LocalQueue<T> implements Disposable {
  // Two rules hold between any two calls, because each change restores them before it returns: while a put waits, the
  // queue is full; while a take waits, it is empty. So a call that finds room, or an item, overtakes none.

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

  /** Whether `close` was called. Items that were in the queue then may still be there to be taken. */
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
   * Puts an item in if there is room now, and returns whether there was. Throws `CLOSED` on a closed queue, where no
   * later try can succeed, and `INVALID_OPTION` if `order.priority` returns no number for the item.
   */
  tryPut(item: T): boolean {
    const priority = this.#admissible(item);
    if (this.#items.length >= this.capacity) return false;
    this.#accept(item, priority);
    return true;
  }

  /**
   * Takes the next item, and waits for one if the queue is empty. Rejects: `TIMEOUT` after `timeoutMs` (default: no
   * limit), `ABORTED` by `signal`, `CLOSED` on a closed queue that is empty, `INVALID_OPTION`. No item is lost by that.
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
   * Takes the next item if there is one now. Undefined means that there is none; if undefined may be an item, too,
   * check `size` first.
   */
  tryTake(): T | undefined {
    return this.#items.length > 0 ? this.#next() : undefined;
  }

  /**
   * Takes what is there, at most `max` items (1 and more, or `Infinity`), in the order in which `take` would. Waits
   * for the first one if the queue is empty. Rejects as `take` does.
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
   * the loop leaves all others in the queue. Several loops share the items. `return()` of the iterator ends a `next()`
   * that waits, which then takes none.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T, undefined> {
    return takeIterator({
      takeNow: () => (this.#items.length > 0 ? { item: this.#next() } : undefined),
      waitForItem: () => (this.#closed ? undefined : this.#takers.join(undefined)),
    });
  }

  /**
   * Ends the queue. Puts that wait, and later ones, are rejected with `CLOSED`. What is in the queue can still be
   * taken; a take after the last item is rejected with `CLOSED`. With `discard` the items are dropped instead, and need
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

  /** `close()`: for `using`. What is in the queue can still be taken. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Marks `count` of the items that were taken as done, for `join`. Throws `INVALID_OPTION` if there are not that many,
   * which is a mistake in the caller's counting.
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

  /** The priority of the item. Throws if it can't be put at all. */
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

  /** There is an item. Its room goes to the put that has waited longest. */
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

  /** As repeated `#next`, which matters to puts that wait: their items may be next. */
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
