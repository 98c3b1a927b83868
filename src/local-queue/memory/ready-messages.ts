import TinyQueue from 'tinyqueue';
import { Fifo } from '../fifo.js';
import type { StoredMessage } from './stored-message.js';

/**
 * The messages that can be delivered now: the highest priority first, and the oldest first among equals. A message that
 * returns takes its old position.
 */
export class ReadyMessages {
  /** By priority, created when first needed. */
  readonly #arrived: (Fifo<StoredMessage> | undefined)[] = new Array(32).fill(undefined);
  /** A bit for each priority that has messages in `#arrived`. */
  #priorities = 0;
  /** Returned messages. They were first in their priority before, so they come before all others. */
  #returned = new TinyQueue<StoredMessage>([], compare);
  #length = 0;
  #lastPlace = 0;

  get length(): number {
    return this.#length;
  }

  /** Puts a message at the end of its priority. */
  push(stored: StoredMessage): void {
    const { priority } = stored;
    stored.place = ++this.#lastPlace;
    let arrived = this.#arrived[priority];
    if (arrived === undefined) {
      arrived = new Fifo();
      this.#arrived[priority] = arrived;
    }
    arrived.push(stored);
    this.#priorities |= 1 << priority;
    this.#length++;
  }

  /** Puts a message back to the position from which `shift` took it. */
  unshift(stored: StoredMessage): void {
    this.#returned.push(stored);
    this.#length++;
  }

  shift(): StoredMessage | undefined {
    if (this.#length === 0) return undefined;
    this.#length--;
    const highest = 31 - Math.clz32(this.#priorities);
    const returned = this.#returned.peek();
    if (returned !== undefined && returned.priority >= highest) return this.#returned.pop();
    const arrived = this.#arrived[highest];
    const stored = arrived?.shift();
    if (arrived?.length === 0) this.#priorities &= ~(1 << highest);
    return stored;
  }

  /** Removes messages that expire at `now` or earlier, and returns when the next one expires. */
  removeExpired(now: number): { readonly expired: StoredMessage[]; readonly next: number } {
    const expired: StoredMessage[] = [];
    let next = Number.POSITIVE_INFINITY;
    const isLeft = (stored: StoredMessage): boolean => {
      const { expiresAt = Number.POSITIVE_INFINITY } = stored.message;
      if (expiresAt <= now) {
        expired.push(stored);
        return false;
      }
      next = Math.min(next, expiresAt);
      return true;
    };
    for (const [priority, arrived] of this.#arrived.entries()) {
      if (arrived === undefined || arrived.length === 0) continue;
      for (const stored of arrived.shiftMany([], arrived.length)) if (isLeft(stored)) arrived.push(stored);
      if (arrived.length === 0) this.#priorities &= ~(1 << priority);
    }
    const returned: StoredMessage[] = [];
    for (let stored = this.#returned.pop(); stored !== undefined; stored = this.#returned.pop())
      if (isLeft(stored)) returned.push(stored);
    for (const stored of returned) this.#returned.push(stored);
    this.#length -= expired.length;
    return { expired, next };
  }

  /** In the order of their delivery. Nothing may be added or taken meanwhile. */
  *[Symbol.iterator](): Iterator<StoredMessage> {
    const returned = [...this.#returned.data].sort(compare);
    let next = 0;
    for (let priority = this.#arrived.length - 1; priority >= 0; priority--) {
      while (returned[next]?.priority === priority) yield returned[next++] as StoredMessage;
      yield* this.#arrived[priority] ?? [];
    }
  }

  /** The earliest timestamp among those that are first in line, of each priority; infinite: none. */
  get oldestTimestamp(): number {
    let oldest = Number.POSITIVE_INFINITY;
    const note = (stored: StoredMessage) => {
      oldest = Math.min(oldest, stored.message.timestamp ?? Number.POSITIVE_INFINITY);
    };
    for (const arrived of this.#arrived) {
      for (const first of arrived ?? []) {
        note(first);
        break;
      }
    }
    for (const stored of this.#returned.data) note(stored);
    return oldest;
  }

  /** Returns how many there were. */
  clear(): number {
    const dropped = this.#length;
    this.#arrived.fill(undefined);
    this.#priorities = 0;
    this.#returned = new TinyQueue<StoredMessage>([], compare);
    this.#length = 0;
    return dropped;
  }
}

function compare(a: StoredMessage, b: StoredMessage): number {
  return b.priority - a.priority || a.place - b.place;
}
