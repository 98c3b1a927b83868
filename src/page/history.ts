/** The history of the queues, for the charts: in memory, as long as the page's process runs. */
import type { QueueInfo } from '../broker.js';

export const FIELDS = ['ready', 'unsettled', 'delayed', 'dead', 'in', 'out', 'died'] as const;

export type Span = '15m' | '3h' | '24h';

const POINTS = 180;
const STEPS_MS: Readonly<Record<Span, number>> = { '15m': 5_000, '3h': 60_000, '24h': 480_000 };

/** Charts of more queues than that would take too much memory: about 13 kB each. */
export const MAX_CHARTED = 1000;

const SPARK_POINTS = 60;
const SPARK_STEP_MS = 15_000;

/** Figures over time, the last of each step. */
class Ring {
  readonly #stepMs: number;
  readonly #points: number;
  readonly #fields: number;
  readonly #values: Float32Array;
  /** The number of the newest step since the epoch. */
  #newest = -1;

  constructor(stepMs: number, points: number, fields: number) {
    this.#stepMs = stepMs;
    this.#points = points;
    this.#fields = fields;
    this.#values = new Float32Array(points * fields).fill(Number.NaN);
  }

  /** `more`: the last field, to which all values of a step add up. */
  add(at: number, values: readonly number[], more?: number): void {
    const step = Math.floor(at / this.#stepMs);
    // The clock was set back.
    if (step < this.#newest) return;
    const from = Math.max(this.#newest + 1, step - this.#points + 1);
    for (let gap = from; gap <= step; gap++) {
      const start = (gap % this.#points) * this.#fields;
      this.#values.fill(Number.NaN, start, start + this.#fields);
    }
    this.#newest = step;
    const start = (step % this.#points) * this.#fields;
    this.#values.set(values, start);
    if (more === undefined) return;
    const last = start + this.#fields - 1;
    const before = this.#values[last] as number;
    this.#values[last] = more + (Number.isNaN(before) ? 0 : before);
  }

  /** Oldest first. */
  field(index: number): number[] {
    return this.#steps().map((step) => this.#values[(step % this.#points) * this.#fields + index] as number);
  }

  /** The starts of the steps, in seconds since the epoch. */
  times(): number[] {
    return this.#steps().map((step) => (step * this.#stepMs) / 1000);
  }

  #steps(): number[] {
    const first = Math.max(0, this.#newest - this.#points + 1);
    return Array.from({ length: this.#newest - first + 1 }, (_, index) => first + index);
  }
}

interface Kept {
  /** For the last 15 minutes: `ready`, and the number of new dead letters. */
  readonly spark: Ring;
  dead: number | undefined;
  /** The number of new dead letters in the present step of `spark`. */
  came: number;
  step: number;
  /** Of the last sample. Milliseconds since the epoch. */
  at: number;
  charts: Readonly<Record<Span, Ring>> | undefined;
}

/** Columns for a chart: the times, then one list for each of {@link FIELDS}; null where nothing is known. */
export interface ChartData {
  readonly times: readonly number[];
  readonly fields: readonly (readonly (number | null)[])[];
}

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

export class History {
  readonly since: number;
  #queues = new Map<string, Kept>();
  #charted = 0;
  #hasBegun = false;
  readonly #lastDead = new Map<string, number>();
  /** New dead letters of all queues, by the minute since the epoch. */
  readonly #newDead = new Map<number, number>();

  constructor(now: number) {
    this.since = now;
  }

  add(at: number, queues: readonly QueueInfo[]): void {
    const isFirst = !this.#hasBegun;
    const kept = new Map<string, Kept>();
    for (const queue of queues) kept.set(queue.name, this.#addQueue(at, queue));
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

  /** How many of the present dead letters arrived within the last 15 minutes. */
  deadRise(queue: string): number {
    const kept = this.#queues.get(queue);
    if (kept?.dead === undefined || kept.dead === 0) return 0;
    const came = kept.spark.field(1).filter((value) => value > 0);
    return Math.min(
      kept.dead,
      came.reduce((sum, value) => sum + value, 0),
    );
  }

  /** The growth of `ready` over the last 15 minutes. */
  readyRise(queue: string): number {
    const ready = this.spark(queue).filter((value) => !Number.isNaN(value));
    return ready.length === 0 ? 0 : (ready.at(-1) as number) - (ready[0] as number);
  }

  /** New dead letters within the last hour, and over how much of it the page has watched. */
  newDead(now: number): { readonly count: number; readonly ms: number } {
    const from = Math.floor((now - HOUR_MS) / MINUTE_MS);
    let total = 0;
    for (const [minute, dead] of this.#newDead) if (minute > from) total += dead;
    return { count: total, ms: Math.min(HOUR_MS, now - this.since) };
  }

  /** Undefined if no chart of the queue is kept. */
  chart(queue: string, span: Span): ChartData | undefined {
    const ring = this.#queues.get(queue)?.charts?.[span];
    if (ring === undefined) return undefined;
    const fields = FIELDS.map((_, index) =>
      ring.field(index).map((value) => (Number.isNaN(value) ? null : value)),
    );
    return { times: ring.times(), fields };
  }

  #addQueue(at: number, queue: QueueInfo): Kept {
    const kept = this.#queues.get(queue.name) ?? {
      spark: new Ring(SPARK_STEP_MS, SPARK_POINTS, 2),
      // The page has seen how all of them came.
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
    if (kept.charts === undefined && this.#charted < MAX_CHARTED && values.some((value) => value > 0)) {
      kept.charts = chartRings();
      this.#charted++;
    }
    const sinceMs = at - kept.at;
    kept.at = at;
    for (const [span, ring] of Object.entries(kept.charts ?? {})) {
      // Per second, over the step, or over the time in which they came.
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
      if (rise > 0) this.#newDead.set(minute, (this.#newDead.get(minute) ?? 0) + rise);
    }
    for (const old of this.#newDead.keys()) if (old < minute - 60) this.#newDead.delete(old);
  }
}

function chartRings(): Readonly<Record<Span, Ring>> {
  const ring = (span: Span) => new Ring(STEPS_MS[span], POINTS, FIELDS.length);
  return { '15m': ring('15m'), '3h': ring('3h'), '24h': ring('24h') };
}
