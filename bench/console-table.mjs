import { medianOf, ratio } from './statistics.mjs';

export const FIGURE_NAMES = {
  perSecond: 'a second',
  nsEach: 'ns each',
  cpuUsEach: 'CPU µs each',
  medianUs: 'median µs',
  p99Us: 'p99 µs',
  maxUs: 'worst µs',
  openingMs: 'ms to open',
  memoryMb: 'MB of the worker',
  idlePercent: '% of a core, idle',
  sharePercent: '% of a fair share',
  ms: 'ms',
  peakGrowthMb: 'MB grown',
};

/**
 * A workload's results as lines of text, the best first.
 *
 * @param {import('./workload.js').MeasuredWorkload} workload
 */
export function tableLines({ title, figure, moreFigures = [], reference, results }) {
  const figures = [figure, ...moreFigures];
  const referenceRuns = results.find(({ subject }) => subject === reference)?.runs ?? [];
  const header = ['', ...figures.map((name) => FIGURE_NAMES[name]), `× ${reference}`];
  const rows = results.map((result) => {
    const name = result.kind === 'floor' ? `(${result.subject})` : result.subject;
    if (result.runs.length === 0) return [name, result.error ?? 'not run'];
    const values = figures.map((each) => formatNumber(medianOf(result.runs, each)));
    const against = referenceRuns.length > 0 ? formatNumber(ratio(result.runs, referenceRuns, figure)) : '';
    return [name, ...values, against];
  });
  const widths = header.map((_, column) =>
    Math.max(...[header, ...rows.filter((row) => row.length > 2)].map((row) => row[column]?.length ?? 0)),
  );
  widths[0] = Math.max(...rows.map(([name]) => name.length));
  const line = (row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column] ?? 0)))
      .join('  ');
  return [`\n${title}`, ...[header, ...rows].map((row) => `  ${line(row)}`)];
}

/** Three figures that count, and thousands set apart. */
export function formatNumber(value) {
  if (value >= 1000) {
    const scale = 10 ** (Math.floor(Math.log10(value)) - 2);
    return (Math.round(value / scale) * scale).toLocaleString('en');
  }
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
