/** How the demo goes at the moment. */
export interface DemoSample {
  readonly seconds: number;
  readonly depth: number;
  readonly sent: number;
  readonly handled: number;
  /**
   * Which part of the time since the last sample the producer spent waiting in `send`, 0 to 1; undefined when it has
   * ended.
   */
  readonly waiting: number | undefined;
}

/** How it went. */
export interface DemoTotals {
  readonly seconds: number;
  readonly sent: number;
  readonly handled: number;
  readonly deepest: number;
  readonly longestWaitMs: number;
  /** Which part of its time the producer spent waiting in `send`, 0 to 1. */
  readonly waiting: number;
  readonly startMemoryBytes: number;
  readonly peakMemoryBytes: number;
}

export class DemoMeter {
  handled = 0;
  #sent = 0;
  #deepest = 0;
  #longestWaitMs = 0;
  #waitedMs = 0;
  #sendBegan: number | undefined;
  #producerEnded: number | undefined;
  readonly #began = performance.now();
  readonly #startMemoryBytes = process.memoryUsage.rss();
  #peakMemoryBytes = this.#startMemoryBytes;
  #lastSample = { at: this.#began, waitedMs: 0 };

  /** Messages that were sent and are not handled yet. */
  get depth(): number {
    // A message can be handled before the word that it is stored is here.
    return Math.max(0, this.#sent - this.handled);
  }

  /** Whether no message is to come, and all are handled. */
  get isDone(): boolean {
    return this.#producerEnded !== undefined && this.depth === 0;
  }

  sendBegins(): void {
    this.#sendBegan = performance.now();
  }

  sendEnds(): void {
    const waitedMs = performance.now() - (this.#sendBegan ?? performance.now());
    this.#sendBegan = undefined;
    this.#waitedMs += waitedMs;
    this.#longestWaitMs = Math.max(this.#longestWaitMs, waitedMs);
    this.#sent++;
    this.#deepest = Math.max(this.#deepest, this.depth);
  }

  producerEnds(): void {
    this.#sendBegan = undefined;
    this.#producerEnded = performance.now();
  }

  lookAtMemory(): void {
    this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, process.memoryUsage.rss());
  }

  sample(): DemoSample {
    const now = performance.now();
    const waitedMs = this.#waitedMs + (this.#sendBegan === undefined ? 0 : now - this.#sendBegan);
    const waiting = (waitedMs - this.#lastSample.waitedMs) / Math.max(1, now - this.#lastSample.at);
    this.#lastSample = { at: now, waitedMs };
    return {
      seconds: (now - this.#began) / 1000,
      depth: this.depth,
      sent: this.#sent,
      handled: this.handled,
      waiting: this.#producerEnded === undefined ? Math.min(1, Math.max(0, waiting)) : undefined,
    };
  }

  totals(): DemoTotals {
    this.lookAtMemory();
    const now = performance.now();
    const producedMs = Math.max(1, (this.#producerEnded ?? now) - this.#began);
    return {
      seconds: (now - this.#began) / 1000,
      sent: this.#sent,
      handled: this.handled,
      deepest: this.#deepest,
      longestWaitMs: this.#longestWaitMs,
      waiting: Math.min(1, this.#waitedMs / producedMs),
      startMemoryBytes: this.#startMemoryBytes,
      peakMemoryBytes: this.#peakMemoryBytes,
    };
  }
}
