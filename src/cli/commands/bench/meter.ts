import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** Milliseconds below which so many percent of the values lie; undefined where there were none. */
export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** A stretch of the run: the time since the last sample, or all of it. */
export interface BenchSample {
  /** Since the start. */
  readonly seconds: number;
  readonly sent: number;
  readonly received: number;
  readonly sentPerSecond: number;
  readonly receivedPerSecond: number;
  /** From `send` to its end, at which the message is stored. */
  readonly confirmMs: Percentiles | undefined;
  /** From `send` to the handler. */
  readonly latencyMs: Percentiles | undefined;
}

export interface BenchTotals extends BenchSample {
  /** Of this process, for both ends. */
  readonly cpuUsEach: number;
  readonly peakMemoryBytes: number;
}

/** Counts and times what is sent and received, for the interval and for the whole run. */
export class BenchMeter {
  readonly #began = performance.now();
  readonly #cpuAtStart = process.cpuUsage();
  readonly #whole = new Tally(this.#began);
  #interval = new Tally(this.#began);
  #peakMemoryBytes = process.memoryUsage.rss();

  /** The clock that messages carry. Milliseconds. */
  now(): number {
    return performance.now();
  }

  sent(begunAt: number): void {
    const ms = performance.now() - begunAt;
    this.#whole.sent(ms);
    this.#interval.sent(ms);
  }

  received(begunAt: number): void {
    const ms = performance.now() - begunAt;
    this.#whole.received(ms);
    this.#interval.received(ms);
  }

  /** Whether all that was sent has been received. */
  get isDrained(): boolean {
    return this.#whole.receivedCount >= this.#whole.sentCount;
  }

  /** What happened since the last sample. */
  sample(): BenchSample {
    this.#lookAtMemory();
    const sample = this.#interval.sample(this.#began);
    this.#interval = new Tally(performance.now());
    return sample;
  }

  totals(): BenchTotals {
    this.#lookAtMemory();
    const cpu = process.cpuUsage(this.#cpuAtStart);
    return {
      ...this.#whole.sample(this.#began),
      cpuUsEach: (cpu.user + cpu.system) / Math.max(1, this.#whole.receivedCount),
      peakMemoryBytes: this.#peakMemoryBytes,
    };
  }

  #lookAtMemory(): void {
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

/** A histogram takes integers from 1 on: these are microseconds. */
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
