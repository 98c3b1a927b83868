import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** In milliseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Figures of the time since the last sample, or of the whole run. */
export interface BenchSample {
  /** The time since the start. */
  readonly seconds: number;
  readonly sent: number;
  readonly received: number;
  readonly sentPerSecond: number;
  readonly receivedPerSecond: number;
  /** The time from calling `send` until the message is stored. */
  readonly confirmMs: Percentiles | undefined;
  /** The time from calling `send` until the handler is called. */
  readonly latencyMs: Percentiles | undefined;
}

export interface BenchTotals extends BenchSample {
  /** CPU time of this process per message, for sending and handling. */
  readonly cpuUsEach: number;
  readonly peakMemoryBytes: number;
}

/** Counts and times the messages, per interval and over the whole run. */
export class BenchMeter {
  readonly #began = performance.now();
  readonly #cpuAtStart = process.cpuUsage();
  readonly #whole = new Tally(this.#began);
  #interval = new Tally(this.#began);
  #peakMemoryBytes = process.memoryUsage.rss();

  /** The clock for the times in messages. Milliseconds. */
  now(): number {
    return performance.now();
  }

  sent(startedAt: number): void {
    const ms = performance.now() - startedAt;
    this.#whole.sent(ms);
    this.#interval.sent(ms);
  }

  received(startedAt: number): void {
    const ms = performance.now() - startedAt;
    this.#whole.received(ms);
    this.#interval.received(ms);
  }

  /** Whether all messages sent have been received. */
  get isDrained(): boolean {
    return this.#whole.receivedCount >= this.#whole.sentCount;
  }

  /** The figures since the last sample. */
  sample(): BenchSample {
    this.#measureMemory();
    const sample = this.#interval.sample(this.#began);
    this.#interval = new Tally(performance.now());
    return sample;
  }

  totals(): BenchTotals {
    this.#measureMemory();
    const cpu = process.cpuUsage(this.#cpuAtStart);
    return {
      ...this.#whole.sample(this.#began),
      cpuUsEach: (cpu.user + cpu.system) / Math.max(1, this.#whole.receivedCount),
      peakMemoryBytes: this.#peakMemoryBytes,
    };
  }

  #measureMemory(): void {
    this.#peakMemoryBytes = Math.max(this.#peakMemoryBytes, process.memoryUsage.rss());
  }
}

class Tally {
  sentCount = 0;
  receivedCount = 0;
  readonly #since: number;
  readonly #confirms = createHistogram();
  readonly #latencies = createHistogram();

  constructor(since: number) {
    this.#since = since;
  }

  sent(ms: number): void {
    this.sentCount++;
    record(this.#confirms, ms);
  }

  received(ms: number): void {
    this.receivedCount++;
    record(this.#latencies, ms);
  }

  sample(began: number): BenchSample {
    const now = performance.now();
    const seconds = Math.max(0.001, (now - this.#since) / 1000);
    return {
      seconds: (now - began) / 1000,
      sent: this.sentCount,
      received: this.receivedCount,
      sentPerSecond: this.sentCount / seconds,
      receivedPerSecond: this.receivedCount / seconds,
      confirmMs: percentiles(this.#confirms),
      latencyMs: percentiles(this.#latencies),
    };
  }
}

/** Records microseconds, since a histogram only takes integers from 1. */
function record(histogram: RecordableHistogram, ms: number): void {
  histogram.record(Math.max(1, Math.round(ms * 1000)));
}

function percentiles(histogram: RecordableHistogram): Percentiles | undefined {
  if (histogram.count === 0) return undefined;
  const msOf = (microseconds: number) => microseconds / 1000;
  return {
    p50: msOf(histogram.percentile(50)),
    p95: msOf(histogram.percentile(95)),
    p99: msOf(histogram.percentile(99)),
    max: msOf(histogram.max),
  };
}
