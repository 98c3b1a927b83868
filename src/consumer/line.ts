import type { Delivery } from '../broker.js';

/** The deliveries that were handed over, until their turn comes. Bounded by the prefetch. */
export interface Line {
  add(delivery: Delivery): void;
  /** The next that may be handled, if there is one. */
  take(): Delivery | undefined;
  /** One that was taken is handled and settled. */
  done(delivery: Delivery): void;
  /** One that was not taken is lost. */
  remove(delivery: Delivery): void;
  /** Empties the line, and gives what was not taken. */
  clear(): Delivery[];
}

/** First come, first served. */
export class PlainLine implements Line {
  readonly #deliveries: Delivery[] = [];

  add(delivery: Delivery): void {
    this.#deliveries.push(delivery);
  }

  take(): Delivery | undefined {
    return this.#deliveries.shift();
  }

  done(): void {}

  remove(delivery: Delivery): void {
    const position = this.#deliveries.indexOf(delivery);
    if (position >= 0) this.#deliveries.splice(position, 1);
  }

  clear(): Delivery[] {
    return this.#deliveries.splice(0);
  }
}
