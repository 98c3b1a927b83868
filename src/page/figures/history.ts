/** The history of the queues, for the charts: in memory, as long as the page's process runs. */
import type { QueueInfo } from '../../broker.js';
import { Ring } from './ring.js';
import type { HandlerFigures } from './workers.js';

/** The figures of a chart. `died` is the last: it adds up over a step. */
const FIELDS = ['ready', 'unsettled', 'delayed', 'dead', 'in', 'out', 'died'] as const;
/** The figures that need the metrics of workers. */
const HANDLER_FIELDS = ['failed', 'p50', 'p95', 'p99'] as const;

export type Span = '15m' | '3h' | '24h';

const POINTS = 180;
const STEPS_MS: Readonly<Record<Span, number>> = { '15m': 5_000, '3h': 60_000, '24h': 480_000 };

/** How many queues have charts, which take 15 to 24 kB each. */
export const MAX_CHARTED = 1000;

const SPARK_POINTS = 60;
const SPARK_STEP_MS = 15_000;

interface Kept {
  /** `ready` and the number of new dead letters, over the last 15 minutes. */
  readonly spark: Ring;
  dead: number | undefined;
  /** The number of new dead letters in the current step of `spark`. */
  came: number;
  step: number;
  /** The time of the last sample, in milliseconds since the epoch. */
  at: number;
  charts: Readonly<Record<Span, Ring>> | undefined;
}

/** Columns for a chart: the times, then one list for each name; null where nothing is known. */
export interface ChartData {
  readonly names: readonly string[];
  readonly times: readonly number[];
  readonly fields: readonly (readonly (number | null)[])[];
}

interface NewDead {
  readonly count: number;
  /** When dead letters that arrived while the page was closed were found; infinite if there were none. */
  readonly from: number;
}

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

export class History {
  readonly since: number;
  readonly #names: readonly string[];
  #queues = new Map<string, Kept>();
  #charted = 0;
  #hasBegun = false;
  readonly #lastDead = new Map<string, number>();
  /** New dead letters of all queues, by the minute since the epoch in which they were seen. */
  readonly #newDead = new Map<number, NewDead>();
  /** The last sample. */
  #at: number | undefined;

  /** `hasHandlers`: the figures of handlers will be known. */
  constructor(now: number, hasHandlers = false) {
    this.since = now;
    this.#names = hasHandlers ? [...FIELDS.slice(0, -1), ...HANDLER_FIELDS, 'died'] : FIELDS;
  }

  add(
    at: number,
    queues: readonly QueueInfo[],
    handlers: Pick<ReadonlyMap<string, HandlerFigures>, 'get'> = new Map(),
  ): void {
    const isFirst = !this.#hasBegun;
    const kept = new Map<string, Kept>();
    for (const queue of queues) kept.set(queue.name, this.#addQueue(at, queue, handlers.get(queue.name)));
    this.#queues = kept;
    this.#hasBegun = true;
    this.#charted = [...kept.values()].filter(({ charts }) => charts !== undefined).length;
    for (const name of this.#lastDead.keys()) if (!kept.has(name)) this.#lastDead.delete(name);
    this.#countDead(at, queues, isFirst);
  }

  /** The ready messages of the last 15 minutes; NaN where nothing is known. */
  spark(queue: string): readonly number[] {
    return this.#queues.get(queue)?.spark.field(0) ?? [];
  }

  /** How many of the dead letters arrived within the last 15 minutes. */
  deadRise(queue: string): number {
    const kept = this.#queues.get(queue);
    if (kept?.dead === undefined || kept.dead === 0) return 0;
    return Math.min(kept.dead, kept.spark.sum(1));
  }

  /** The growth of `ready` over the last 15 minutes. */
  readyRise(queue: string): number {
    return this.#queues.get(queue)?.spark.rise(0) ?? 0;
  }

  /**
   * New dead letters that were seen within the last hour, and the time in which they came: shorter if the page has not
   * run for an hour; longer if some came while it was closed, at a time that is not known.
   */
  newDead(now: number): { readonly count: number; readonly ms: number } {
    const first = Math.floor((now - HOUR_MS) / MINUTE_MS);
    let total = 0;
    let since = Math.max(this.since, now - HOUR_MS);
    for (const [minute, { count, from }] of this.#newDead) {
      if (minute <= first) continue;
      total += count;
      since = Math.min(since, from);
    }
    return { count: total, ms: Math.max(0, now - since) };
  }

  /** Undefined if no chart of the queue is kept. */
  chart(queue: string, span: Span): ChartData | undefined {
    const ring = this.#queues.get(queue)?.charts?.[span];
    if (ring === undefined) return undefined;
    const fields = this.#names.map((_, index) =>
      ring.field(index).map((value) => (Number.isNaN(value) ? null : value)),
    );
    return { names: this.#names, times: ring.times(), fields };
  }

  #addQueue(at: number, queue: QueueInfo, handlers: HandlerFigures | undefined): Kept {
    const kept = this.#queues.get(queue.name) ?? {
      spark: new Ring(SPARK_STEP_MS, SPARK_POINTS, 2),
      // The page saw all of them arrive.
      dead: this.#hasBegun ? 0 : undefined,
      came: 0,
      step: 0,
      at,
      charts: undefined,
    };
    const { ready, unsettled = Number.NaN, delayed = Number.NaN, dead = Number.NaN, rates } = queue;
    const step = Math.floor(at / SPARK_STEP_MS);
    const came = queue.dead === undefined ? 0 : Math.max(0, queue.dead - (kept.dead ?? queue.dead));
    Object.assign(kept, { dead: queue.dead, step, came: step === kept.step ? kept.came + came : came });
    kept.spark.add(at, [ready, kept.came]);
    const values = [ready, unsettled, delayed, dead, rates?.in ?? Number.NaN, rates?.out ?? Number.NaN];
    if (this.#names.length > FIELDS.length)
      for (const name of HANDLER_FIELDS) values.push(handlers?.[name] ?? Number.NaN);
    if (kept.charts === undefined && this.#charted < MAX_CHARTED && values.some((value) => value > 0)) {
      kept.charts = chartRings(this.#names.length);
      this.#charted++;
    }
    const sinceMs = at - kept.at;
    kept.at = at;
    for (const [span, ring] of Object.entries(kept.charts ?? {})) {
      // Per second, over the step, or over the time in which they arrived.
      const died = (came * 1000) / Math.max(STEPS_MS[span as Span], sinceMs);
      ring.add(at, values, queue.dead === undefined ? Number.NaN : died);
    }
    return kept;
  }

  #countDead(at: number, queues: readonly QueueInfo[], isFirst: boolean): void {
    const minute = Math.floor(at / MINUTE_MS);
    // Several queues may share a dead-letter queue, whose messages count once.
    const seen = new Set<string>();
    for (const { name, dead, deadLetterQueue } of queues) {
      const holder = deadLetterQueue ?? name;
      if (dead === undefined || seen.has(holder)) continue;
      seen.add(holder);
      const rise = dead - (this.#lastDead.get(name) ?? (isFirst ? dead : 0));
      this.#lastDead.set(name, dead);
      if (rise > 0) this.#addDead(minute, rise, Math.min(at, this.#at ?? at));
    }
    this.#at = at;
    for (const [old, { count }] of this.#newDead) {
      if (old >= minute - 60 && old <= minute) continue;
      this.#newDead.delete(old);
      // They have arrived, even if the clock was set back.
      if (old > minute) this.#addDead(minute, count, at);
    }
  }

  #addDead(minute: number, rise: number, from: number): void {
    const known = this.#newDead.get(minute);
    const count = (known?.count ?? 0) + rise;
    // Between two samples of an open page, the minute is precise enough.
    const isKnown = minute * MINUTE_MS - from < MINUTE_MS;
    const since = isKnown ? Number.POSITIVE_INFINITY : from;
    this.#newDead.set(minute, { count, from: Math.min(known?.from ?? Number.POSITIVE_INFINITY, since) });
  }
}

function chartRings(fields: number): Readonly<Record<Span, Ring>> {
  const ring = (span: Span) => new Ring(STEPS_MS[span], POINTS, fields);
  return { '15m': ring('15m'), '3h': ring('3h'), '24h': ring('24h') };
}
