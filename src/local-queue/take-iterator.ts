import { isQueueError, QueueError } from '../errors.js';
import type { Waiter } from './wait-list.js';

const END = { done: true, value: undefined } as const;

/** What the iterator needs of its queue. */
export interface Takes<T> {
  /** Takes the next item; undefined if there is none now. */
  takeNow(): { readonly item: T } | undefined;
  /** Undefined: the queue is closed, and none will come. */
  waitForItem(): Waiter<undefined, T> | undefined;
}

/**
 * Takes an item for each `next()`, none ahead. `return()` ends a `next()` that waits, which then takes none.
 *
 * Not an async generator, which would take three times as long for each item, and whose `return()` would wait for a
 * pending `next()` and lose its item.
 */
export function takeIterator<T>(queue: Takes<T>): AsyncIterableIterator<T, undefined> {
  const waiters = new Set<Waiter<undefined, T>>();
  let isOver = false;
  async function next(): Promise<IteratorResult<T, undefined>> {
    if (isOver) return END;
    const taken = queue.takeNow();
    if (taken !== undefined) return { done: false, value: taken.item };
    const waiter = queue.waitForItem();
    if (waiter === undefined) return END;
    waiters.add(waiter);
    try {
      return { done: false, value: await waiter.promise };
    } catch (error) {
      // By `close` of the queue, or `return` of the iterator: nothing else cancels it.
      if (isQueueError(error, 'CLOSED')) return END;
      throw error;
    } finally {
      waiters.delete(waiter);
    }
  }
  return {
    next,
    return: async () => {
      isOver = true;
      for (const waiter of waiters) waiter.cancel(new QueueError('CLOSED', 'the iterator was closed'));
      return END;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
