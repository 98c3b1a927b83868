import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Value, writeAll } from './instruments.js';

/** A delay of the event loop is reported for this long at least, to all readers. */
const WINDOW_MS = 30_000;

/** The process itself, by the names that Prometheus' client libraries use. */
export class ProcessMetrics {
  /** `#newer` takes the place of `#older` when it has measured for a window. */
  #older = monitorEventLoopDelay({ resolution: 20 });
  #newer = monitorEventLoopDelay({ resolution: 20 });
  #since = performance.now();
  readonly #cpu = new Value('counter', 'process_cpu_seconds_total', 'User and system CPU time.');
  readonly #memory = new Value('gauge', 'process_resident_memory_bytes', 'Resident memory size in bytes.');
  readonly #started = new Value(
    'gauge',
    'process_start_time_seconds',
    'Start time since the epoch, in seconds.',
  );
  readonly #lag = new Value(
    'gauge',
    'nodejs_eventloop_lag_p99_seconds',
    'The 99th percentile of the delays of the event loop over about the last minute.',
  );

  constructor() {
    this.#older.enable();
    this.#newer.enable();
    this.#started.set({}, Date.now() / 1000 - process.uptime());
  }

  stop(): void {
    this.#older.disable();
    this.#newer.disable();
  }

  write(): string {
    const { user, system } = process.cpuUsage();
    this.#cpu.set({}, (user + system) / 1e6);
    this.#memory.set({}, process.memoryUsage.rss());
    if (performance.now() - this.#since >= WINDOW_MS) {
      [this.#older, this.#newer] = [this.#newer, this.#older];
      this.#newer.reset();
      this.#since = performance.now();
    }
    const lag = this.#older.percentile(99) / 1e9;
    this.#lag.set({}, Number.isFinite(lag) ? lag : 0);
    return writeAll([this.#cpu, this.#memory, this.#started, this.#lag]);
  }
}
