import type { QueueRates } from '../../broker.js';

/** Rates are taken over about as long. Milliseconds. */
const WINDOW_MS = 5000;
/** Below this a rate means little. */
const MIN_MS = 250;

interface Look {
  readonly at: number;
  readonly stored: number;
  readonly settled: number;
}

/**
 * The rates of a queue, between two queries: the queue itself only counts, without reading a clock. The first query has
 * no rates.
 */
export class FlowMeter {
  /** Messages that were ever stored, and that consumers have taken out. */
  stored = 0;
  settled = 0;
  /** In their order; none but the first is older than the window. */
  #looks: Look[] = [];

  /** Undefined: there was no query before, or only a moment ago. */
  look(): QueueRates | undefined {
    const { stored, settled } = this;
    const at = performance.now();
    const next = this.#looks.findIndex((look) => at - look.at <= WINDOW_MS);
    // The last one that is older stays: the rate is taken over the whole window at least.
    this.#looks = next === -1 ? this.#looks.slice(-1) : this.#looks.slice(Math.max(0, next - 1));
    const first = this.#looks[0];
    const last = this.#looks.at(-1);
    if (last === undefined || at - last.at >= MIN_MS) this.#looks.push({ at, stored, settled });
    if (first === undefined || at - first.at < MIN_MS) return undefined;
    const perSecond = (count: number) => (count * 1000) / (at - first.at);
    return { in: perSecond(stored - first.stored), out: perSecond(settled - first.settled) };
  }
}
