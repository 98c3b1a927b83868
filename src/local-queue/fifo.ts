const SLOTS = 256;
const MASK = SLOTS - 1;

/** A ring of fixed size. `next` is the ring that was begun when this one was full. */
class Ring<T> {
  readonly slots: (T | undefined)[] = new Array<T | undefined>(SLOTS).fill(undefined);
  head = 0;
  length = 0;
  next: Ring<T> | undefined = undefined;
}

/**
 * A first-in, first-out buffer without a bound of its own: a chain of small rings. A short queue goes round in one
 * ring for ever; a long one takes memory for what it holds, gives it back as it drains, and is never copied. A slot
 * that was taken from holds nothing.
 */
export class Fifo<T> {
  #first = new Ring<T>();
  #last = this.#first;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    let ring = this.#last;
    if (ring.length === SLOTS) {
      ring.next = new Ring<T>();
      ring = ring.next;
      this.#last = ring;
    }
    ring.slots[(ring.head + ring.length) & MASK] = item;
    ring.length++;
    this.#length++;
  }

  /** Undefined where there is none; look at `length` first where undefined may be an item. */
  shift(): T | undefined {
    const ring = this.#first;
    if (ring.length === 0) return undefined;
    const item = ring.slots[ring.head];
    ring.slots[ring.head] = undefined;
    ring.head = (ring.head + 1) & MASK;
    ring.length--;
    this.#length--;
    if (ring.length === 0 && ring.next !== undefined) this.#first = ring.next;
    return item;
  }

  clear(): void {
    this.#first = new Ring<T>();
    this.#last = this.#first;
    this.#length = 0;
  }
}
