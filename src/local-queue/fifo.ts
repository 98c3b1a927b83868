const FEWEST_SLOTS = 64;
const MOST_SLOTS = 2048;

/** Copied rather than created: V8 compiles code that creates arrays for their first kind of elements, and discards it. */
const EMPTY: readonly undefined[] = new Array(MOST_SLOTS).fill(undefined);

/** A ring of fixed size, a power of two. `next` is the ring that was started when this one was full. */
class Ring<T> {
  readonly slots: (T | undefined)[];
  readonly mask: number;
  head = 0;
  length = 0;
  next: Ring<T> | undefined = undefined;

  constructor(size: number) {
    this.slots = EMPTY.slice(0, size);
    this.mask = size - 1;
  }
}

/**
 * An unbounded first-in, first-out buffer: a chain of rings, each twice the size of the one before up to 2048 slots. A
 * short queue reuses one ring forever; a long one takes memory for what it holds, releases it as it drains, and is
 * never copied. An emptied slot holds no reference.
 */
export class Fifo<T> {
  #first = new Ring<T>(FEWEST_SLOTS);
  #last = this.#first;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    let ring = this.#last;
    if (ring.length > ring.mask) {
      ring.next = new Ring<T>(Math.min(2 * ring.length, MOST_SLOTS));
      ring = ring.next;
      this.#last = ring;
    }
    ring.slots[(ring.head + ring.length) & ring.mask] = item;
    ring.length++;
    this.#length++;
  }

  /** From the first to the last. Nothing may be added or taken meanwhile. */
  *[Symbol.iterator](): Iterator<T> {
    for (let ring: Ring<T> | undefined = this.#first; ring !== undefined; ring = ring.next) {
      for (let index = 0; index < ring.length; index++) {
        yield ring.slots[(ring.head + index) & ring.mask] as T;
      }
    }
  }

  /** Undefined if there is none; check `length` first if undefined may be an item. */
  shift(): T | undefined {
    const ring = this.#first;
    if (ring.length === 0) return undefined;
    const item = ring.slots[ring.head];
    ring.slots[ring.head] = undefined;
    ring.head = (ring.head + 1) & ring.mask;
    ring.length--;
    this.#length--;
    if (ring.length === 0 && ring.next !== undefined) this.#first = ring.next;
    return item;
  }

  /** Appends the next `count` items, which must exist, to `taken`. Costs half as much as `count` calls of `shift`. */
  shiftMany(taken: T[], count: number): T[] {
    const parts: T[][] = [];
    for (let left = count; left > 0; ) {
      const ring = this.#first;
      const part = Math.min(left, ring.length, ring.slots.length - ring.head);
      const end = ring.head + part;
      parts.push(ring.slots.slice(ring.head, end) as T[]);
      ring.slots.fill(undefined, ring.head, end);
      ring.head = end & ring.mask;
      ring.length -= part;
      if (ring.length === 0 && ring.next !== undefined) this.#first = ring.next;
      left -= part;
    }
    this.#length -= count;
    return taken.length === 0 && parts.length === 1 ? (parts[0] as T[]) : taken.concat(...parts);
  }

  clear(): void {
    this.#first = new Ring<T>(FEWEST_SLOTS);
    this.#last = this.#first;
    this.#length = 0;
  }
}
