/** Formats numbers, ages, sizes and times for operators. */
import { count as countOf } from '../../common/reporting/count.js';
import { type Html, html } from './html.js';

/** The sign for unknown figures. */
export const UNKNOWN = '–';

/** Separates thousands by thin spaces from five digits on. */
export function number(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const digits = String(Math.round(value));
  return digits.length < 5 ? digits : digits.replace(/\B(?=(\d{3})+$)/g, '\u2009');
}

/** `1 message`, `12 000 messages`. */
export function count(value: number, noun: string): string {
  return countOf(value, noun, number(value));
}

/** Per second. */
export function rate(value: number | undefined): string {
  if (value === undefined) return UNKNOWN;
  if (value === 0) return '0';
  return value < 10 ? value.toFixed(1) : number(value);
}

const UNITS: readonly (readonly [ms: number, unit: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
];

/** Uses the largest unit that fits at least once: `3 min`. */
export function age(ms: number | undefined): string {
  if (ms === undefined) return UNKNOWN;
  for (const [size, unit] of UNITS) if (ms >= size) return `${Math.floor(ms / size)} ${unit}`;
  return ms > 0 ? '< 1 s' : '0 s';
}

/** Uses milliseconds or seconds, with two digits. */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined) return UNKNOWN;
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  return `${Number(seconds.toPrecision(seconds < 10 ? 2 : 3))} s`;
}

export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  if (size < 1024 * 1024) return `${(size / 1024).toFixed(1)} kB`;
  return `${(size / 1024 / 1024).toFixed(1)} MB`;
}

/** A time in UTC; the page's script shows it in the reader's time zone. */
export function time(at: number | undefined): Html {
  if (at === undefined || !Number.isFinite(at) || Math.abs(at) > 8.64e15) return html`${UNKNOWN}`;
  const iso = new Date(at).toISOString();
  return html`<time datetime="${iso}">${iso.slice(0, 19).replace('T', ' ')} UTC</time>`;
}

/** The exact time of an age, for a tooltip; undefined if the age is unknown, or begins at no date. */
export function sinceText(now: number, ageMs: number | undefined): string | undefined {
  if (ageMs === undefined || !(Math.abs(now - ageMs) <= 8.64e15)) return undefined;
  return `since ${new Date(now - ageMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** How many steps without a value a line bridges: figures may be read less often than they are shown. */
const MAX_JOINED = 6;

/** The path of an SVG line of some figures, oldest first, in a box of 100 by 24; NaN where nothing is known. */
export function sparkPath(values: readonly number[]): string {
  const known = values.filter((value) => !Number.isNaN(value));
  const top = Math.max(...known, 1);
  if (known.length < 2) return '';
  const step = 100 / Math.max(1, values.length - 1);
  let path = '';
  let last = Number.NEGATIVE_INFINITY;
  for (const [index, value] of values.entries()) {
    if (Number.isNaN(value)) continue;
    const begins = index - last > MAX_JOINED;
    path += `${begins ? 'M' : ' '}${Math.round(index * step)},${Math.round(23 - (value / top) * 22)}`;
    last = index;
  }
  return path;
}
