import TinyQueue from 'tinyqueue';
import type { StoredMessage } from './stored-message.js';

interface Waiting {
  readonly stored: StoredMessage;
  /** On the clock of `performance.now()`, which no change of the system's time moves. */
  readonly dueAt: number;
  /** Those due at the same time come back in the order in which they were put aside. */
  readonly arrival: number;
}

/** Messages that wait for their next attempt. One timer, for the one that is due first. */
export class RetrySchedule {
  readonly #onDue: (stored: StoredMessage) => void;
  #heap = new TinyQueue<Waiting>([], compare);
  #arrivals = 0;
  #timer: NodeJS.Timeout | undefined = undefined;
  #timerDueAt = Number.POSITIVE_INFINITY;

  constructor(onDue: (stored: StoredMessage) => void) {
    this.#onDue = onDue;
  }

  add(stored: StoredMessage, delayMs: number): void {
    this.#heap.push({ stored, dueAt: performance.now() + delayMs, arrival: this.#arrivals++ });
    this.#setTimer();
  }

  /** Forgets all that wait. */
  clear(): void {
    this.#heap = new TinyQueue<Waiting>([], compare);
    clearTimeout(this.#timer);
    this.#timerDueAt = Number.POSITIVE_INFINITY;
  }

  #setTimer(): void {
    const next = this.#heap.peek();
    if (next === undefined || next.dueAt >= this.#timerDueAt) return;
    clearTimeout(this.#timer);
    this.#timerDueAt = next.dueAt;
    // Does not keep the process alive: with no subscriber left nobody would handle the message anyway.
    this.#timer = setTimeout(() => this.#wake(), Math.ceil(next.dueAt - performance.now())).unref();
  }

  #wake(): void {
    this.#timerDueAt = Number.POSITIVE_INFINITY;
    // Timers run on whole milliseconds and may be early by a fraction of one; those are set again.
    const now = performance.now();
    for (let next = this.#heap.peek(); next !== undefined && next.dueAt <= now; next = this.#heap.peek()) {
      this.#heap.pop();
      this.#onDue(next.stored);
    }
    this.#setTimer();
  }
}

function compare(a: Waiting, b: Waiting): number {
  return a.dueAt - b.dueAt || a.arrival - b.arrival;
}
