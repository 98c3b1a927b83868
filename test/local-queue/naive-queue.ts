import type { LocalQueueOptions } from '../../src/local-queue/local-queue.js';

export interface Item {
  readonly n: number;
  readonly priority: number;
}

/** What became of one call: nothing yet, its result, or the code of its error. */
export type Fate = { state: 'waiting' } | { state: 'resolved'; value: unknown } | { state: string };

interface Wait {
  readonly fate: { current: Fate };
  readonly limit: 'none' | 'signal' | 'time';
  /** When its time limit ends. */
  readonly endsAt: number;
}
interface Putter extends Wait {
  readonly item: Item;
}
interface Taker extends Wait {
  /** undefined: `take`; a number: `takeMany`; 'next': a loop. */
  readonly max: number | 'next' | undefined;
}

/** What the queue should do, written as plainly as possible: lists that are searched and copied. */
export class NaiveQueue {
  items: Item[] = [];
  putters: Putter[] = [];
  takers: Taker[] = [];
  joiners: Wait[] = [];
  inHand = 0;
  closed = false;
  now = 0;
  /** Takers that were given an item since `settle`. */
  private served: { taker: Taker; first: Item }[] = [];
  readonly capacity: number;
  readonly order: LocalQueueOptions<Item>['order'];

  constructor(capacity: number, order: LocalQueueOptions<Item>['order']) {
    this.capacity = capacity;
    this.order = order;
  }

  put(item: Item, limit: Wait['limit'], endsAt: number): { current: Fate } {
    if (this.closed) return settled({ state: 'CLOSED' });
    if (this.tryPut(item)) return settled({ state: 'resolved', value: undefined });
    return this.wait(this.putters, { item }, limit, endsAt);
  }

  /** Undefined: it throws. */
  tryPut(item: Item): boolean | undefined {
    if (this.closed) return undefined;
    if (this.items.length >= this.capacity) return false;
    this.items.push(item);
    this.serveTakers();
    return true;
  }

  take(max: Taker['max'], limit: Wait['limit'], endsAt: number): { current: Fate } {
    if (this.items.length > 0) return settled({ state: 'resolved', value: this.taken(max) });
    if (this.closed) {
      return settled(max === 'next' ? { state: 'resolved', value: undefined } : { state: 'CLOSED' });
    }
    return this.wait(this.takers, { max }, limit, endsAt);
  }

  tryTake(): Item | undefined {
    return this.items.length > 0 ? this.next() : undefined;
  }

  done(count: number): boolean {
    if (count > this.inHand) return false;
    this.inHand -= count;
    this.serveJoiners();
    return true;
  }

  join(limit: Wait['limit'], endsAt: number): { current: Fate } {
    if (this.items.length === 0 && this.inHand === 0) return settled({ state: 'resolved', value: undefined });
    return this.wait(this.joiners, {}, limit, endsAt);
  }

  close(discard: boolean): number {
    this.closed = true;
    for (const putter of this.putters.splice(0)) putter.fate.current = { state: 'CLOSED' };
    for (const taker of this.takers.splice(0)) {
      taker.fate.current =
        taker.max === 'next' ? { state: 'resolved', value: undefined } : { state: 'CLOSED' };
    }
    const dropped = discard ? this.items.splice(0).length : 0;
    if (dropped > 0) this.serveJoiners();
    return dropped;
  }

  /** The signal that all share is aborted. */
  abort(): void {
    this.end((wait) => wait.limit === 'signal', 'ABORTED');
  }

  advance(ms: number): void {
    this.now += ms;
    this.end((wait) => wait.limit === 'time' && wait.endsAt <= this.now, 'TIMEOUT');
  }

  /** How many wait with such a limit. */
  waiting(limit: Wait['limit']): number {
    return [...this.putters, ...this.takers, ...this.joiners].filter((wait) => wait.limit === limit).length;
  }

  /** What takers that were served take in addition, in the microtasks after the calls. */
  settle(): void {
    for (const { taker, first } of this.served.splice(0)) {
      if (typeof taker.max !== 'number') continue;
      const taken = [first];
      while (taken.length < taker.max && this.items.length > 0) taken.push(this.next());
      taker.fate.current = { state: 'resolved', value: taken };
    }
  }

  private serveTakers(): void {
    while (this.takers.length > 0 && this.items.length > 0) {
      const [taker] = this.takers.splice(0, 1) as [Taker];
      const first = this.next();
      taker.fate.current = { state: 'resolved', value: first };
      this.served.push({ taker, first });
    }
  }

  private serveJoiners(): void {
    if (this.items.length > 0 || this.inHand > 0) return;
    for (const joiner of this.joiners.splice(0))
      joiner.fate.current = { state: 'resolved', value: undefined };
  }

  private taken(max: Taker['max']): Item | Item[] {
    if (typeof max !== 'number') return this.next();
    const taken: Item[] = [];
    while (taken.length < max && this.items.length > 0) taken.push(this.next());
    return taken;
  }

  private next(): Item {
    const [item] = this.items.splice(this.nextPosition(), 1) as [Item];
    this.inHand++;
    const [putter] = this.putters.splice(0, 1);
    if (putter !== undefined) {
      this.items.push(putter.item);
      putter.fate.current = { state: 'resolved', value: undefined };
    }
    return item;
  }

  private nextPosition(): number {
    if (this.order === 'fifo') return 0;
    if (this.order === 'lifo') return this.items.length - 1;
    const smallest = Math.min(...this.items.map((item) => item.priority));
    return this.items.findIndex((item) => item.priority === smallest);
  }

  private wait<W extends object>(
    list: (W & Wait)[],
    extra: W,
    limit: Wait['limit'],
    endsAt: number,
  ): { current: Fate } {
    const fate: { current: Fate } = { current: { state: 'waiting' } };
    list.push({ ...extra, fate, limit, endsAt });
    return fate;
  }

  private end(over: (wait: Wait) => boolean, state: string): void {
    for (const list of [this.putters, this.takers, this.joiners] as Wait[][]) {
      for (const wait of list.filter(over)) {
        list.splice(list.indexOf(wait), 1);
        wait.fate.current = { state };
      }
    }
  }
}

function settled(fate: Fate): { current: Fate } {
  return { current: fate };
}
