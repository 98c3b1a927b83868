import TinyQueue from 'tinyqueue';
import { checkOptionNames, invalidOption, quote } from '../common/options.js';
import { QueueError } from '../errors.js';
import { Fifo } from './fifo.js';

/**
 * The order in which items are taken: the oldest first, the newest first, or the one with the smallest priority first
 * and the oldest first among equals.
 */
export type ItemOrder<T> =
  | 'fifo'
  | 'lifo'
  | {
      /** The priority of an item: the smallest number goes first. */
      readonly priority: (item: T) => number;
    };

/** Holds the items of a queue. Each order has its own. */
export interface ItemStore<T> {
  readonly length: number;
  push(item: T, priority: number): void;
  /** Undefined if there is none. */
  shift(): T | undefined;
  /** What was taken before, and the next `count` as `shift` would return them. There must be that many. */
  shiftMany(taken: T[], count: number): T[];
  clear(): void;
}

/** The store for an order, and the priority of an item if the order has priorities. */
export function storeFor<T>(order: ItemOrder<T> | undefined): {
  readonly store: ItemStore<T>;
  readonly priorityOf: ((item: T) => number) | undefined;
} {
  if (order === undefined || order === 'fifo') return { store: new Fifo<T>(), priorityOf: undefined };
  if (order === 'lifo') return { store: new Stack<T>(), priorityOf: undefined };
  if (typeof order !== 'object' || order === null || typeof order.priority !== 'function') {
    throw invalidOption('order', "'fifo', 'lifo' or { priority: (item) => number }", order);
  }
  checkOptionNames('order', order, ['priority']);
  return { store: new PriorityItems<T>(), priorityOf: checkedPriority(order.priority) };
}

/** Refuses NaN, which is neither smaller nor greater than any number and would silently break the order of other items. */
function checkedPriority<T>(priorityOf: (item: T) => number): (item: T) => number {
  return (item) => {
    let priority: number;
    try {
      priority = priorityOf(item);
    } catch (error) {
      throw new QueueError('INVALID_OPTION', `order.priority threw on ${quote(item)}`, { cause: error });
    }
    if (typeof priority === 'number' && !Number.isNaN(priority)) return priority;
    throw invalidOption(`order.priority of ${quote(item)}`, 'a number', priority);
  };
}

class Stack<T> implements ItemStore<T> {
  #items: T[] = [];

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    return this.#items.pop();
  }

  shiftMany(taken: T[], count: number): T[] {
    return taken.concat(this.#items.splice(-count).reverse());
  }

  clear(): void {
    this.#items = [];
  }
}

interface Ranked<T> {
  readonly item: T;
  readonly priority: number;
  /** Keeps the order of equal priorities, which a heap does not. */
  readonly arrival: number;
}

function compareRanked(a: Ranked<unknown>, b: Ranked<unknown>): number {
  if (a.priority !== b.priority) return a.priority < b.priority ? -1 : 1;
  return a.arrival - b.arrival;
}

class PriorityItems<T> implements ItemStore<T> {
  #heap = new TinyQueue<Ranked<T>>([], compareRanked);
  #arrivals = 0;

  get length(): number {
    return this.#heap.length;
  }

  push(item: T, priority: number): void {
    this.#heap.push({ item, priority, arrival: this.#arrivals++ });
  }

  shift(): T | undefined {
    return this.#heap.pop()?.item;
  }

  shiftMany(taken: T[], count: number): T[] {
    for (let i = 0; i < count; i++) taken.push(this.shift() as T);
    return taken;
  }

  clear(): void {
    this.#heap = new TinyQueue<Ranked<T>>([], compareRanked);
  }
}
