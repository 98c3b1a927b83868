import { isQueueError, QueueError } from '../errors.js';
import type { Waiter } from './wait-list.js';

const END = { done: true, value: undefined } as const;

/** The part of the queue that the iterator uses. */
export interface Takes<T> {
  /** Takes the next item; undefined if there is none now. */
  takeNow(): { readonly item: T } | undefined;
  /** Resolves to undefined if the queue is closed and empty. */
  waitForItem(): Waiter<undefined, T> | undefined;
}

/**
 * Takes one item for each `next()`. `return()` ends a pending `next()`, which then takes no item.
 *
 * It is not an async generator, which would take three times as long for each item, and whose `return()` would wait for a
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
      // Only `close` of the queue and `return` of the iterator cancel it.
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
