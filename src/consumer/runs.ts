import type { Delivery } from '../broker.js';
import type { HandlerRun } from './handler-run.js';

/**
 * The runs under way, in no order. Each knows its place, so that joining and leaving takes constant time without a
 * hash table, which for so few that come and go so fast costs a tenth of what a message does.
 */
export class Runs {
  readonly #runs: HandlerRun[] = [];
  readonly #deliveries: Delivery[] = [];

  get size(): number {
    return this.#runs.length;
  }

  add(delivery: Delivery, run: HandlerRun): void {
    run.place = this.#runs.length;
    this.#runs.push(run);
    this.#deliveries.push(delivery);
  }

  /** One that was added. */
  remove(run: HandlerRun): void {
    const last = this.#runs.pop() as HandlerRun;
    const delivery = this.#deliveries.pop() as Delivery;
    if (last === run) return;
    last.place = run.place;
    this.#runs[run.place] = last;
    this.#deliveries[run.place] = delivery;
  }

  /** The run of a delivery, if it is under way. Looks through all that are: it is asked of lost deliveries only. */
  of(delivery: Delivery): HandlerRun | undefined {
    const place = this.#deliveries.indexOf(delivery);
    return place < 0 ? undefined : this.#runs[place];
  }

  /** Those under way now, whoever leaves meanwhile. */
  entries(): [Delivery, HandlerRun][] {
    return this.#runs.map((run, place) => [this.#deliveries[place] as Delivery, run]);
  }
}
