/** The charts of a queue, drawn by uPlot from the figures that the page's process has kept. */
import { find } from './visit.js';

interface Chart {
  setData(data: readonly unknown[]): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}

declare const uPlot: new (options: object, data: readonly unknown[], place: HTMLElement) => Chart;

interface ChartData {
  readonly names: readonly string[];
  readonly times: readonly number[];
  readonly fields: readonly (readonly (number | null)[])[];
}

const EVERY_MS = 5000;
const HEIGHT = 180;
const MIN_POINTS = 24;

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
      ['died', 'dead', '--bad'],
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
  const series = SERIES[place.dataset.chart ?? ''] ?? [];
  const columns = known([times, ...series.map(([field]) => fields[names.indexOf(field)] ?? [])]);
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
        values: (_: unknown, splits: readonly number[]) => splits.map((at) => clock(at, isFine(splits))),
      },
      {
        ...axis,
        size: 56,
        values: (_: unknown, splits: readonly number[]) =>
          splits.map((value) => (Number.isInteger(value) ? value.toLocaleString('fr') : value.toFixed(1))),
      },
    ],
    series: [
      { label: 'time', value: (_: unknown, at: number | null) => (at === null ? '–' : clock(at, true)) },
      ...series.map(([, label, name]) => ({
        label,
        stroke: color(name),
        width: 2,
        spanGaps: true,
        points: { show: false },
        value: (_: unknown, value: number | null) =>
          value === null || value === undefined ? '–' : String(value),
      })),
    ],
  };
  charts.set(place, new uPlot(options, columns, place));
}

/** From the first known value on, unless the line would be too short to be visible. */
function known(columns: readonly (readonly (number | null)[])[]): readonly (readonly (number | null)[])[] {
  const [times = [], ...fields] = columns;
  const first = times.findIndex((_, index) => fields.some((values) => values[index] !== null));
  const from = Math.max(0, Math.min(first, times.length - MIN_POINTS));
  return columns.map((values) => values.slice(from));
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
