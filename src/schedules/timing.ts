/** The times of a schedule's ticks: cron expressions in a time zone, or an interval in milliseconds. */
import { createRequire } from 'node:module';
import type * as Croner from 'croner';
import { durationOption, errorText, invalidOption, quote } from '../common/options.js';
import { QueueError } from '../errors.js';

/** The stored form, by which timings are compared. */
export type TimingSpec = { readonly cron: string; readonly tz: string } | { readonly everyMs: number };

/** Times are in milliseconds since 1970. */
export interface Timing {
  /** The timing as its definition gives it. */
  readonly spec: TimingSpec;
  /** The first tick after that time; undefined: there is none. */
  next(after: number): number | undefined;
  /** The last tick at or before that time. There must be one. */
  last(upTo: number): number;
}

/** The timing options of a definition. */
interface TimingOptions {
  readonly cron?: string | undefined;
  readonly tz?: string | undefined;
  readonly everyMs?: number | undefined;
}

/** Throws `INVALID_OPTION`. */
export function timingOption({ cron, tz, everyMs }: TimingOptions): Timing {
  if (everyMs !== undefined) {
    if (cron !== undefined)
      throw new QueueError('INVALID_OPTION', 'everyMs and cron exclude each other; use one of them');
    if (tz !== undefined)
      throw new QueueError('INVALID_OPTION', 'tz applies only to cron; everyMs counts from 1970, UTC');
    return everyTiming(durationOption('everyMs', everyMs, { min: 100, default: 100 }));
  }
  if (typeof cron !== 'string')
    throw invalidOption('cron', "a cron expression such as '0 3 * * *', or everyMs", cron);
  if (tz !== undefined && !isTimeZone(tz))
    throw invalidOption('tz', "the name of a time zone, such as 'Europe/Berlin'", tz);
  const timing = cronTiming(cron, tz ?? 'UTC');
  if (timing.next(Date.now()) === undefined)
    throw invalidOption('cron', 'an expression that matches a time in the future', cron);
  return timing;
}

/**
 * The timing of a stored schedule; `own` if this program can't read it: another version may have written it, or one with
 * time zones that are unknown here.
 */
export function storedTiming(spec: TimingSpec, own: Timing): Timing {
  try {
    if ('everyMs' in spec) return timingOption(spec);
    return isTimeZone(spec.tz) ? cronTiming(spec.cron, spec.tz) : own;
  } catch {
    return own;
  }
}

/** The text that events and listings show. */
export function timingText(spec: TimingSpec): string {
  return 'everyMs' in spec ? `every ${spec.everyMs} ms` : `${spec.cron} (${spec.tz})`;
}

/** Ticks are multiples of the interval since 1970, so that all programs agree on them. */
function everyTiming(everyMs: number): Timing {
  return {
    spec: { everyMs },
    next: (after) => (Math.floor(after / everyMs) + 1) * everyMs,
    last: (upTo) => Math.floor(upTo / everyMs) * everyMs,
  };
}

const require = createRequire(import.meta.url);

/** Throws `INVALID_OPTION`. */
function cronTiming(cron: string, tz: string): Timing {
  const times = parse(cron, tz);
  const next = (after: number) => times.nextRun(new Date(after))?.getTime();
  return {
    spec: { cron, tz },
    next,
    last: (upTo) => lastUpTo(next, upTo),
  };
}

function parse(cron: string, tz: string): Croner.Cron {
  const croner: typeof Croner = require('croner');
  let times: Croner.Cron;
  try {
    times = new croner.Cron(cron, { timezone: tz });
  } catch (error) {
    const why = errorText(error).replace(/^CronPattern: /, '');
    throw new QueueError('INVALID_OPTION', `cron: ${quote(cron)}: ${why}`, { cause: error });
  }
  // It also accepts dates, which are not patterns.
  if (times.getPattern() === undefined)
    throw invalidOption('cron', "five or six fields such as '0 3 * * *', not a date", cron);
  return times;
}

/** Beyond this number of ticks the search is binary: an expression may tick in each second of a month. */
const MANY_TICKS = 10;

/** Searches back in growing steps, and from there forward: expressions only support searching forward. */
function lastUpTo(next: Timing['next'], upTo: number): number {
  let last = Number.POSITIVE_INFINITY;
  for (let windowMs = 60_000; last > upTo; windowMs *= 4)
    last = next(upTo - windowMs) ?? Number.POSITIVE_INFINITY;
  for (let end = upTo, ticks = 1; ; ticks++) {
    const after = ticks < MANY_TICKS ? last : Math.floor((last + end) / 2);
    const tick = next(after) ?? Number.POSITIVE_INFINITY;
    if (tick <= end) last = tick;
    else if (after === last) return last;
    else end = after;
  }
}

function isTimeZone(tz: unknown): boolean {
  try {
    return typeof tz === 'string' && tz !== '' && Boolean(new Intl.DateTimeFormat('en', { timeZone: tz }));
  } catch {
    return false;
  }
}
