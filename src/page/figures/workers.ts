/** Reads the metrics of workers: only they know how long handlers take, and which attempts failed. */

import { measuredLabel } from '../../common/hooks/tracing.js';
import { errorText } from '../../common/options.js';
import { within } from '../../common/waiting/waiting.js';
import type { MetricsSource } from '../page-types.js';
import { addTo, type HandlerCounts, handlerCountsOf, MAX_QUEUES, quantile } from './handler-metrics.js';

/** A worker may have to query its broker for an answer. */
const READ_EVERY_MS = 5_000;
/** When a source is read for the second time: a figure takes two readings. */
const READ_SOON_MS = 1_000;
const LIMIT_MS = 5_000;
const MAX_BYTES = 4 * 1024 * 1024;
/** The span of the figures, or longer if the last reading is further back. */
const WINDOW_MS = 60_000;

/** The figures of the handlers of one queue, in all workers, over the last minute. */
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

/** The response of one source. */
interface Report {
  readonly at: number;
  readonly counts: ReadonlyMap<string, HandlerCounts>;
}

export class Workers {
  readonly #sources: readonly MetricsSource[];
  readonly #system: string;
  readonly #signal: AbortSignal;
  /** The last counts of each source, which start again at 0 with its process. */
  readonly #last = new Map<MetricsSource, Report>();
  readonly #errors = new Map<MetricsSource, string>();
  /** Counts of all sources, from the first reading that has the queue. */
  readonly #totals = new Map<string, Counts>();
  #figures: ReadonlyMap<string, HandlerFigures> = new Map();
  #readings: Reading[] = [];
  #reading: Promise<void> | undefined;

  /** `url`: the address of the broker. */
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
    const waitMs = this.#readings.length === 1 ? READ_SOON_MS : READ_EVERY_MS;
    const isRecent = now >= last && now - last < waitMs;
    if (!this.areKnown || isRecent) return Promise.resolve();
    if (now < last || now - last > WINDOW_MS) this.#forget();
    this.#reading ??= this.#readAll(now).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /**
   * By the name that the metrics have for the queue, see `measuredLabel`: those whose handlers some worker has run. Empty
   * before the second reading.
   */
  get figures(): ReadonlyMap<string, HandlerFigures> {
    return this.#figures;
  }

  /** The figures of one queue. */
  figuresOf(queue: string): HandlerFigures | undefined {
    return this.#figures.get(measuredLabel(queue));
  }

  /** After the clock was set back, or while the page was closed, figures would belong to no minute. */
  #forget(): void {
    this.#readings = [];
    this.#figures = new Map();
  }

  #computed(): ReadonlyMap<string, HandlerFigures> {
    const newest = this.#readings.at(-1);
    const oldest = this.#readings[0];
    const figures = new Map<string, HandlerFigures>();
    if (newest === undefined || oldest === undefined || newest === oldest) return figures;
    const seconds = (newest.at - oldest.at) / 1000;
    for (const [queue, { durations, failed }] of newest.byQueue) {
      // A queue that was forgotten meanwhile starts again at 0.
      const isKnown = this.#readings.every(({ byQueue }) => byQueue.has(queue));
      const before = isKnown ? oldest.byQueue.get(queue) : undefined;
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
    await Promise.all(this.#sources.map((source) => this.#readOne(source, at)));
    const reports = [...this.#last.values()];
    for (const queue of this.#totals.keys())
      if (!reports.some(({ counts }) => counts.has(queue))) this.#totals.delete(queue);
    const byQueue = new Map(
      [...this.#totals].map(([queue, { durations, failed }]) => [
        queue,
        { durations: new Map(durations), failed },
      ]),
    );
    this.#readings.push({ at, byQueue });
    // The oldest reading is the last one before the window.
    while (this.#readings.length > 2 && (this.#readings[1] as Reading).at <= at - WINDOW_MS)
      this.#readings.shift();
    this.#figures = this.#computed();
  }

  async #readOne(source: MetricsSource, at: number): Promise<void> {
    const request = new AbortController();
    try {
      const reading = typeof source === 'string' ? fetched(source, request.signal) : source.text();
      const text = await within(reading, 'reading the metrics', {
        signal: this.#signal,
        timeoutMs: LIMIT_MS,
      });
      const counts = handlerCountsOf(text, this.#system);
      const before = this.#last.get(source)?.counts;
      this.#last.set(source, { at, counts });
      this.#errors.delete(source);
      // What it counted before the page was opened belongs to no minute.
      if (before !== undefined) for (const [queue, now] of counts) this.#add(queue, now, before.get(queue));
      else for (const queue of counts.keys()) this.#totalOf(queue);
    } catch (error) {
      if (this.#signal.aborted) return;
      // What it counts until it responds again belongs to no minute either.
      if (at - (this.#last.get(source)?.at ?? at) > WINDOW_MS) this.#last.delete(source);
      const name = typeof source === 'string' ? placeOf(source) : 'the metrics of this process';
      // The message of fetch itself does not say why.
      const cause = (error as Error | undefined)?.cause ?? error;
      this.#errors.set(source, `${name}: ${errorText(cause)}`);
    } finally {
      // `within` has the time limit.
      request.abort();
    }
  }

  #add(queue: string, now: HandlerCounts, before: HandlerCounts | undefined): void {
    const total = this.#totalOf(queue);
    if (total === undefined) return;
    const isRestarted = before !== undefined && countOf(now) < countOf(before);
    const last = isRestarted ? undefined : before;
    for (const [bound, count] of now.durations) {
      addTo(total.durations, bound, Math.max(0, count - (last?.durations.get(bound) ?? 0)));
    }
    total.failed += Math.max(0, now.failed - (last?.failed ?? 0));
  }

  /** Undefined if there are too many queues. */
  #totalOf(queue: string): Counts | undefined {
    const known = this.#totals.get(queue);
    if (known !== undefined || this.#totals.size >= MAX_QUEUES) return known;
    const total: Counts = { durations: new Map(), failed: 0 };
    this.#totals.set(queue, total);
    return total;
  }
}

async function fetched(url: string, signal: AbortSignal): Promise<string> {
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

/** The URL without its query, which may contain a token. */
function placeOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}

function countOf({ durations }: HandlerCounts): number {
  let sum = 0;
  for (const count of durations.values()) sum += count;
  return sum;
}
