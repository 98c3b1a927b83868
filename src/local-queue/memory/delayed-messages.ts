import TinyQueue from 'tinyqueue';
import { MAX_DELAY_MS } from '../../common/options.js';
import type { StoredMessage } from './stored-message.js';

export interface DelayedMessage {
  readonly stored: StoredMessage;
  /** On the clock of `performance.now()`, which changes of the system time do not affect. */
  readonly dueAt: number;
  /** Keeps retries that are due at the same time in the order in which they were scheduled. */
  readonly arrival: number;
}

/** Messages that wait for their next attempt, or for their first. One timer, for the first one that is due. */
export class DelayedMessages {
  readonly #onDue: (stored: StoredMessage) => void;
  #heap = new TinyQueue<DelayedMessage>([], compare);
  #arrivals = 0;
  #timer: NodeJS.Timeout | undefined = undefined;
  #timerDueAt = Number.POSITIVE_INFINITY;

  constructor(onDue: (stored: StoredMessage) => void) {
    this.#onDue = onDue;
  }

  get length(): number {
    return this.#heap.length;
  }

  /** In the order in which they are due. */
  get inOrder(): DelayedMessage[] {
    return [...this.#heap.data].sort(compare);
  }

  add(stored: StoredMessage, delayMs: number): void {
    this.addAt(stored, performance.now() + delayMs);
  }

  /** On the clock of `performance.now()`. */
  addAt(stored: StoredMessage, dueAt: number): void {
    this.#heap.push({ stored, dueAt, arrival: this.#arrivals++ });
    this.#setTimer();
  }

  /** Forgets them all. */
  clear(): void {
    this.#heap = new TinyQueue<DelayedMessage>([], compare);
    clearTimeout(this.#timer);
    this.#timerDueAt = Number.POSITIVE_INFINITY;
  }

  #setTimer(): void {
    const next = this.#heap.peek();
    if (next === undefined || next.dueAt >= this.#timerDueAt) return;
    clearTimeout(this.#timer);
    this.#timerDueAt = next.dueAt;
    // Does not keep the process alive: without a subscriber nothing would handle the message anyway.
    // The longest time of a timer, which is then set again.
    const waitMs = Math.min(Math.ceil(next.dueAt - performance.now()), MAX_DELAY_MS);
    this.#timer = setTimeout(() => this.#wake(), waitMs).unref();
  }

  #wake(): void {
    this.#timerDueAt = Number.POSITIVE_INFINITY;
    // Timers run on whole milliseconds and may fire early by a fraction of one; then the timer is set again.
    const now = performance.now();
    for (let next = this.#heap.peek(); next !== undefined && next.dueAt <= now; next = this.#heap.peek()) {
      this.#heap.pop();
      this.#onDue(next.stored);
    }
    this.#setTimer();
  }
}

function compare(a: DelayedMessage, b: DelayedMessage): number {
  return a.dueAt - b.dueAt || a.arrival - b.arrival;
}
