/** The state of the demo at one moment. */
export interface DemoSample {
  readonly seconds: number;
  readonly depth: number;
  readonly sent: number;
  readonly handled: number;
  /** The share of the time since the last sample that the producer spent in `send`, 0 to 1; undefined after its end. */
  readonly waiting: number | undefined;
}

/** The figures of the whole run. */
export interface DemoTotals {
  readonly seconds: number;
  readonly sent: number;
  readonly handled: number;
  readonly deepest: number;
  readonly longestWaitMs: number;
  /** The share of its time that the producer spent in `send`, 0 to 1. */
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

  /** The number of messages sent but not handled yet. */
  get depth(): number {
    // A message may be handled before `send` resolves.
    return Math.max(0, this.#sent - this.handled);
  }

  /** Whether all messages have been sent and handled. */
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

  measureMemory(): void {
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
    this.measureMemory();
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
