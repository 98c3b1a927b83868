import { pause, throwIfAborted } from '../common/waiting/waiting.js';

/** Spaces steps evenly. A step that took long is not caught up. */
export class RateLimit {
  readonly #intervalMs: number;
  #nextAt = 0;

  /** `rate`: steps per second; `Infinity` for no limit. */
  constructor(rate: number) {
    this.#intervalMs = 1000 / rate;
  }

  /** Resolves when the next step may start. Rejects with `ABORTED`. */
  async step(signal: AbortSignal | undefined): Promise<void> {
    const now = performance.now();
    const waitMs = this.#nextAt - now;
    this.#nextAt = Math.max(now, this.#nextAt) + this.#intervalMs;
    if (waitMs <= 0) return;
    await pause(waitMs, signal, { keepAlive: true });
    throwIfAborted(signal, 'replaying dead letters');
  }
}
