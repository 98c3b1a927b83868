/** The charts of a queue, drawn by uPlot from the figures that the page's process has kept. */
import { find, numberText, timeText } from './visit.js';

interface Chart {
  setData(data: readonly unknown[]): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}

declare const uPlot: new (options: object, data: readonly unknown[], place: HTMLElement) => Chart;

/** The columns that the server sends: null where nothing is known. */
interface ChartData {
  readonly names: readonly string[];
  readonly times: readonly number[];
  readonly fields: readonly (readonly (number | null)[])[];
}

const EVERY_MS = 5000;
const HEIGHT = 180;
const MIN_POINTS = 24;
/** Longer without a sample is a gap: the machine slept, or the broker was away. A closed page samples twice a minute. */
const MAX_JOINED_SECONDS = 90;

const SERIES: Readonly<Record<string, readonly (readonly [field: string, label: string, color: string])[]>> =
  {
    amounts: [
      ['ready', 'ready', '--accent'],
      ['unsettled', 'being handled', '--ok'],
      ['delayed', 'waiting', '--warn'],
      ['dead', 'dead', '--bad'],
    ],
    rates: [
      ['in', 'sent', '--accent'],
      ['out', 'handled', '--ok'],
      ['failed', 'failed attempts', '--warn'],
      ['died', 'dead', '--bad'],
    ],
    durations: [
      ['p50', 'p50', '--ok'],
      ['p95', 'p95', '--warn'],
      ['p99', 'p99', '--bad'],
    ],
  };

let charts = new Map<HTMLElement, Chart>();
let shownFor: HTMLElement | undefined;

export function drawCharts(): void {
  const section = find<HTMLElement>('[data-charts]');
  if (section === shownFor) return;
  for (const chart of charts.values()) chart.destroy();
  charts = new Map();
  shownFor = section;
  if (section !== undefined) void update(section);
}

export function keepCharts(): void {
  setInterval(() => {
    if (shownFor !== undefined && document.visibilityState === 'visible') void update(shownFor);
  }, EVERY_MS);
  // Lines keep the colours of the time they were drawn.
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    shownFor = undefined;
    for (const chart of charts.values()) chart.destroy();
    charts = new Map();
    drawCharts();
  });
  addEventListener('resize', () => {
    for (const [place, chart] of charts) chart.setSize({ width: place.clientWidth, height: HEIGHT });
  });
}

async function update(section: HTMLElement): Promise<void> {
  let data: ChartData;
  try {
    const response = await fetch(section.dataset.charts ?? '');
    if (!response.ok) return;
    data = (await response.json()) as ChartData;
  } catch {
    // The bar says that the connection is lost.
    return;
  }
  if (section !== shownFor) return;
  for (const place of section.querySelectorAll<HTMLElement>('[data-chart]')) draw(place, data);
}

function draw(place: HTMLElement, { names, times, fields }: ChartData): void {
  const series = (SERIES[place.dataset.chart ?? ''] ?? []).filter(([field]) => names.includes(field));
  const columns = joined(known([times, ...series.map(([field]) => fields[names.indexOf(field)] ?? [])]));
  const drawn = charts.get(place);
  if (drawn !== undefined) {
    drawn.setData(columns);
    return;
  }
  const style = getComputedStyle(document.body);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color('--muted'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { stroke: color('--line'), width: 1 },
    font: '12px system-ui, sans-serif',
  };
  const options = {
    width: place.clientWidth,
    height: HEIGHT,
    cursor: { y: false },
    padding: [null, 28, null, null],
    scales: { y: { range: (_: unknown, __: number, max: number) => [0, Math.max(1, max * 1.1)] } },
    axes: [
      {
        ...axis,
        values: (_: unknown, splits: readonly number[]) => splits.map((at) => mark(at, isFine(splits))),
      },
      {
        ...axis,
        size: 56,
        values: (_: unknown, splits: readonly number[]) => splits.map(figure),
      },
    ],
    series: [
      {
        label: 'time',
        value: (_: unknown, at: number | null) => (at === null ? '–' : timeText(new Date(at * 1000))),
      },
      ...series.map(([, label, name]) => ({
        label,
        stroke: color(name),
        width: 2,
        spanGaps: false,
        points: { show: false, size: 4, filter: isolated },
        value: (_: unknown, value: number | null) =>
          value === null || value === undefined ? '–' : figure(value),
      })),
    ],
  };
  charts.set(place, new uPlot(options, columns, place));
}

/** The indexes of the values that have no neighbour to draw a line to: the first of all, and those between two gaps. */
function isolated({ data }: { readonly data: readonly (readonly unknown[])[] }, series: number): number[] {
  const values = [...(data[series] ?? []).entries()].filter(([, value]) => value !== undefined);
  return values.flatMap(([index, value], at) => {
    const isJoined = [values[at - 1], values[at + 1]].some((next) => next !== undefined && next[1] !== null);
    return value === null || isJoined ? [] : [index];
  });
}

/** Starts at the first known value, unless the line would be too short to be visible. */
function known(columns: readonly (readonly (number | null)[])[]): readonly (readonly (number | null)[])[] {
  const [times = [], ...fields] = columns;
  const first = times.findIndex((_, index) => fields.some((values) => values[index] !== null));
  const from = Math.max(0, Math.min(first, times.length - MIN_POINTS));
  return columns.map((values) => values.slice(from));
}

/** Undefined makes no gap: the line continues to the next known value. */
function joined(columns: readonly (readonly (number | null)[])[]): readonly (readonly unknown[])[] {
  const [times = [], ...fields] = columns;
  const join = (values: readonly (number | null)[]): unknown[] => {
    const drawn: (number | null | undefined)[] = [...values];
    let last = -1;
    for (const [index, value] of values.entries()) {
      if (value === null) continue;
      // Nothing is known of the steps in between.
      const isShort =
        index > 0 && last >= 0 && (times[index - 1] ?? 0) - (times[last] ?? 0) < MAX_JOINED_SECONDS;
      if (isShort) drawn.fill(undefined, last + 1, index);
      last = index;
    }
    return drawn;
  };
  return [times, ...fields.map(join)];
}

/** Figures are kept in single precision, which their digits would show. */
function figure(value: number): string {
  const rounded = value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
  return Number.isInteger(rounded) ? numberText(rounded) : String(rounded);
}

/** Midnight is labelled with the day that begins. */
function mark(seconds: number, isFiner: boolean): string {
  const at = new Date(seconds * 1000);
  const isMidnight = at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0;
  return isMidnight
    ? at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })
    : clock(seconds, isFiner);
}

/** Whether there are several marks in a minute. */
function isFine([first = 0, second = 60]: readonly number[]): boolean {
  return second - first < 60;
}

function clock(seconds: number, withSeconds: boolean): string {
  const options = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
  const more = withSeconds ? ({ second: '2-digit' } as const) : {};
  return new Date(seconds * 1000).toLocaleTimeString('en-GB', { ...options, ...more });
}
