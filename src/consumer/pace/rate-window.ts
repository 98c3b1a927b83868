import type { Rate } from './rate.js';

/** Decides when the next handler may start. Times are on the clock of `performance.now()`. */
export interface StartWindow {
  /**
   * When the next handler may start. A time in the past means now, `Infinity` that it is not known yet. `waiting`: how
   * many deliveries wait for it.
   */
  nextAt(now: number, waiting: number): number;
  /** A handler starts. Only after `nextAt` has allowed it. */
  take(now: number): void;
  /** Whether no start still counts. */
  isIdle(now: number): boolean;
  /** No handler starts for now. */
  giveBack(): void;
}

/** The start times of the last `limit` handlers. Unlike a token bucket, a sliding window never allows a burst over the limit. */
export class RateWindow implements StartWindow {
  readonly #limit: number;
  readonly #perMs: number;
  /** A ring buffer, once it is full. */
  readonly #begun: number[] = [];
  #oldest = 0;
  #newest = Number.NEGATIVE_INFINITY;

  constructor({ limit, perMs }: Pick<Rate, 'limit' | 'perMs'>) {
    this.#limit = limit;
    this.#perMs = perMs;
  }

  nextAt(): number {
    if (this.#begun.length < this.#limit) return Number.NEGATIVE_INFINITY;
    return (this.#begun[this.#oldest] as number) + this.#perMs;
  }

  isIdle(now: number): boolean {
    return this.#newest + this.#perMs <= now;
  }

  take(now: number): void {
    this.#newest = now;
    if (this.#begun.length < this.#limit) {
      this.#begun.push(now);
      return;
    }
    this.#begun[this.#oldest] = now;
    this.#oldest = (this.#oldest + 1) % this.#limit;
  }

  giveBack(): void {}
}
