/** Counters, gauges and histograms, and how Prometheus reads them: its text format 0.0.4. */
import { cutLabel } from '../common/hooks/tracing.js';

/** Label names and values. Undefined ones are left out. */
export type Labels = Readonly<Record<string, string | undefined>>;

/** Bounds of durations in seconds, as OpenTelemetry's messaging conventions have them. */
export const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** How many series a metric has at most; the values of further ones are added to one with the labels `other`. */
const MAX_SERIES = 1000;

type MetricType = 'counter' | 'gauge' | 'histogram';

/** The series of one metric, by their labels. */
class SeriesTable<State> {
  readonly #head: string;
  readonly #create: () => State;
  readonly #lines: (labels: string, state: State) => readonly string[];
  readonly #series = new Map<string, State>();

  constructor(
    { name, help, type }: { readonly name: string; readonly help: string; readonly type: MetricType },
    create: () => State,
    lines: (labels: string, state: State) => readonly string[],
  ) {
    this.#head = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    this.#create = create;
    this.#lines = lines;
  }

  /** Nothing if it has no series. */
  write(): string {
    if (this.#series.size === 0) return '';
    const lines = [...this.#series].flatMap(([labels, state]) => this.#lines(labels, state));
    return `${this.#head}${lines.join('\n')}\n`;
  }

  clear(): void {
    this.#series.clear();
  }

  has(labels: Labels): boolean {
    return this.#series.has(writeLabels(labels));
  }

  of(labels: Labels): State {
    const key = writeLabels(labels);
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    if (this.#series.size >= MAX_SERIES && !isOther(labels)) return this.of(toOther(labels));
    const state = this.#create();
    this.#series.set(key, state);
    return state;
  }
}

/** The present value of one series. */
export interface Cell {
  value: number;
}

/** A number that only grows (`counter`; its name ends in `_total`), or its current value (`gauge`). */
export class Value {
  readonly #series: SeriesTable<Cell>;

  constructor(type: 'counter' | 'gauge', name: string, help: string) {
    this.#series = new SeriesTable(
      { name, help, type },
      () => ({ value: 0 }),
      (labels, { value }) => [`${name}${braced(labels)} ${value}`],
    );
  }

  /** One series, for callers that keep it: the labels are written once. */
  cell(labels: Labels): Cell {
    return this.#series.of(labels);
  }

  add(labels: Labels, value = 1): void {
    this.#series.of(labels).value += value;
  }

  /** `join`: what the series `other` says of two that it stands for. */
  set(labels: Labels, value: number, join = (_before: number, now: number) => now): void {
    const cell = this.#series.of(labels);
    cell.value = this.#series.has(labels) ? value : join(cell.value, value);
  }

  clear(): void {
    this.#series.clear();
  }

  write(): string {
    return this.#series.write();
  }
}

/** The text of several metrics. */
export function writeAll(metrics: readonly { write(): string }[]): string {
  return metrics.map((metric) => metric.write()).join('');
}

/** The values of one series so far. */
export interface Distribution {
  /** For each bound, how many lie between the one before and it. */
  readonly counts: number[];
  sum: number;
  count: number;
}

/** How values are distributed. */
export class Histogram {
  readonly #bounds: readonly number[];
  readonly #series: SeriesTable<Distribution>;

  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#series = new SeriesTable(
      { name, help, type: 'histogram' },
      () => ({ counts: bounds.map(() => 0), sum: 0, count: 0 }),
      (labels, distribution) => this.#lines(name, labels, distribution),
    );
  }

  /** One series, for callers that keep it: the labels are written once. */
  distribution(labels: Labels): Distribution {
    return this.#series.of(labels);
  }

  observe(distribution: Distribution, value: number): void {
    const { counts } = distribution;
    let index = 0;
    while (index < this.#bounds.length && value > (this.#bounds[index] as number)) index++;
    if (index < counts.length) counts[index] = (counts[index] as number) + 1;
    distribution.sum += value;
    distribution.count++;
  }

  write(): string {
    return this.#series.write();
  }

  #lines(name: string, labels: string, { counts, sum, count }: Distribution): readonly string[] {
    const lines: string[] = [];
    const and = labels === '' ? '' : `${labels},`;
    let below = 0;
    for (const [index, bound] of this.#bounds.entries()) {
      below += counts[index] ?? 0;
      lines.push(`${name}_bucket{${and}le="${bound}"} ${below}`);
    }
    lines.push(`${name}_bucket{${and}le="+Inf"} ${count}`);
    lines.push(`${name}_sum${braced(labels)} ${sum}`, `${name}_count${braced(labels)} ${count}`);
    return lines;
  }
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}

function writeLabels(labels: Labels): string {
  let text = '';
  for (const name in labels) {
    const value = labels[name];
    if (value === undefined || value === '') continue;
    text += `${text === '' ? '' : ','}${name}="${escaped(value)}"`;
  }
  return text;
}

/** Labels come from the names of queues and errors. A line break in one would start another metric. */
function escaped(value: string): string {
  // Nearly all are plain, and this is done several times for each message.
  const text = cutLabel(value);
  if (!/[\\"\n\r]/.test(text)) return text;
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('\r', ' ');
}

const isOther = (labels: Labels) =>
  Object.values(labels).every((value) => value === undefined || value === 'other');

function toOther(labels: Labels): Labels {
  return Object.fromEntries(Object.keys(labels).map((name) => [name, 'other']));
}
