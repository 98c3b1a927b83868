import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Value, writeAll } from './instruments.js';

/** The process itself, by the names that Prometheus' client libraries use. */
export class ProcessMetrics {
  readonly #delay = monitorEventLoopDelay({ resolution: 20 });
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
    'The 99th percentile of the delays of the event loop since the last scrape.',
  );

  constructor() {
    this.#delay.enable();
    this.#started.set({}, Date.now() / 1000 - process.uptime());
  }

  stop(): void {
    this.#delay.disable();
  }

  write(): string {
    const { user, system } = process.cpuUsage();
    this.#cpu.set({}, (user + system) / 1e6);
    this.#memory.set({}, process.memoryUsage.rss());
    const lag = this.#delay.percentile(99) / 1e9;
    this.#lag.set({}, Number.isFinite(lag) ? lag : 0);
    this.#delay.reset();
    return writeAll([this.#cpu, this.#memory, this.#started, this.#lag]);
  }
}
