/** Reads the metrics of workers: only they know how long handlers take, and which attempts failed. */
import { errorText } from '../common/options.js';
import { within } from '../common/waiting.js';
import { type HandlerCounts, handlerCountsOf, quantile } from './handler-metrics.js';
import type { MetricsSource } from './page-types.js';

/** A worker may have to query its broker for an answer. */
const READ_EVERY_MS = 5_000;
const LIMIT_MS = 5_000;
const MAX_BYTES = 4 * 1024 * 1024;
/** The figures are those of this long, or since the last reading if that is longer ago. */
const WINDOW_MS = 60_000;

/** Of the handlers of one queue, in all workers, over the last minute. */
export interface HandlerFigures {
  /** Failed attempts per second. */
  readonly failed: number;
  /** Seconds; undefined if no handler has ended. */
  readonly p50: number | undefined;
  readonly p95: number | undefined;
  readonly p99: number | undefined;
}

interface Counts {
  readonly durations: Map<number, number>;
  failed: number;
}

interface Reading {
  readonly at: number;
  readonly byQueue: ReadonlyMap<string, Counts>;
}

export class Workers {
  readonly #sources: readonly MetricsSource[];
  readonly #system: string;
  readonly #signal: AbortSignal;
  /** What each source said last: its counts start again with its process. */
  readonly #last = new Map<MetricsSource, ReadonlyMap<string, HandlerCounts>>();
  readonly #errors = new Map<MetricsSource, string>();
  /** Counts of all sources, from the first reading on. */
  readonly #totals = new Map<string, Counts>();
  #readings: Reading[] = [];
  #reading: Promise<void> | undefined;

  /** `url`: of the broker. */
  constructor(sources: readonly MetricsSource[], url: string, signal: AbortSignal) {
    this.#sources = sources;
    this.#system = url.startsWith('amqp') ? 'rabbitmq' : 'millrace';
    this.#signal = signal;
  }

  get areKnown(): boolean {
    return this.#sources.length > 0;
  }

  /** A sentence for each source that did not respond to the last reading. */
  get errors(): readonly string[] {
    return [...this.#errors.values()];
  }

  /** Reads all sources, unless that was done a moment ago. Never rejects. */
  read(now: number): Promise<void> {
    const last = this.#readings.at(-1)?.at ?? 0;
    const isRecent = now >= last && now - last < READ_EVERY_MS;
    if (!this.areKnown || isRecent) return Promise.resolve();
    this.#reading ??= this.#readAll(now).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** By queue: those whose handlers some worker has run. Empty before the second reading. */
  get figures(): ReadonlyMap<string, HandlerFigures> {
    const newest = this.#readings.at(-1);
    const oldest = this.#readings[0];
    const figures = new Map<string, HandlerFigures>();
    if (newest === undefined || oldest === undefined || newest === oldest) return figures;
    const seconds = (newest.at - oldest.at) / 1000;
    for (const [queue, { durations, failed }] of newest.byQueue) {
      const before = oldest.byQueue.get(queue);
      const since = new Map(
        [...durations].map(([bound, count]) => [bound, count - (before?.durations.get(bound) ?? 0)]),
      );
      figures.set(queue, {
        failed: (failed - (before?.failed ?? 0)) / seconds,
        p50: quantile(since, 0.5),
        p95: quantile(since, 0.95),
        p99: quantile(since, 0.99),
      });
    }
    return figures;
  }

  async #readAll(at: number): Promise<void> {
    await Promise.all(this.#sources.map((source) => this.#readOne(source)));
    const byQueue = new Map(
      [...this.#totals].map(([queue, { durations, failed }]) => [
        queue,
        { durations: new Map(durations), failed },
      ]),
    );
    // The clock was set back.
    if (at <= (this.#readings.at(-1)?.at ?? 0)) this.#readings = [];
    this.#readings.push({ at, byQueue });
    // The oldest one is the last from before the window.
    while (this.#readings.length > 2 && (this.#readings[1] as Reading).at <= at - WINDOW_MS)
      this.#readings.shift();
  }

  async #readOne(source: MetricsSource): Promise<void> {
    try {
      const reading = typeof source === 'string' ? this.#fetch(source) : source.text();
      const text = await within(reading, 'reading the metrics', {
        signal: this.#signal,
        timeoutMs: LIMIT_MS,
      });
      const counts = handlerCountsOf(text, this.#system);
      const before = this.#last.get(source);
      this.#last.set(source, counts);
      this.#errors.delete(source);
      // What it counted before the page began belongs to no minute.
      if (before !== undefined) for (const [queue, now] of counts) this.#add(queue, now, before.get(queue));
      else for (const queue of counts.keys()) this.#totalOf(queue);
    } catch (error) {
      if (this.#signal.aborted) return;
      const name = typeof source === 'string' ? source : 'the metrics of this process';
      // What fetch itself says is no reason.
      const { cause = error } = error as Error;
      this.#errors.set(source, `${name}: ${errorText(cause)}`);
    }
  }

  #add(queue: string, now: HandlerCounts, before: HandlerCounts | undefined): void {
    const total = this.#totalOf(queue);
    const isRestarted = before !== undefined && countOf(now) < countOf(before);
    const last = isRestarted ? undefined : before;
    for (const [bound, count] of now.durations) {
      const more = Math.max(0, count - (last?.durations.get(bound) ?? 0));
      total.durations.set(bound, (total.durations.get(bound) ?? 0) + more);
    }
    total.failed += Math.max(0, now.failed - (last?.failed ?? 0));
  }

  #totalOf(queue: string): Counts {
    const total = this.#totals.get(queue) ?? { durations: new Map<number, number>(), failed: 0 };
    this.#totals.set(queue, total);
    return total;
  }

  async #fetch(url: string): Promise<string> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(LIMIT_MS)]);
    const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'text/plain' } });
    if (!response.ok) throw new Error(`it responded with HTTP ${response.status}`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > MAX_BYTES) throw new Error(`its response has more than ${MAX_BYTES} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
  }
}

function countOf({ durations }: HandlerCounts): number {
  let sum = 0;
  for (const count of durations.values()) sum += count;
  return sum;
}
