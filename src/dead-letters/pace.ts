import { pause, throwIfAborted } from '../common/limits.js';

/** Steps at an even rate: after a step that took long, those missed are not made up for. */
export class Pace {
  readonly #intervalMs: number;
  #nextAt = 0;

  /** `rate`: steps a second; `Infinity` does not wait. */
  constructor(rate: number) {
    this.#intervalMs = 1000 / rate;
  }

  /** Resolves when the next step may be made. Rejects with `ABORTED`. */
  async step(signal: AbortSignal | undefined): Promise<void> {
    const now = performance.now();
    const waitMs = this.#nextAt - now;
    this.#nextAt = Math.max(now, this.#nextAt) + this.#intervalMs;
    if (waitMs <= 0) return;
    await pause(waitMs, signal, { keepAlive: true });
    throwIfAborted(signal, 'replaying dead letters');
  }
}
