/** The progress of a schedule, which all programs that run it share, and its next step. */
import { type Timing, type TimingSpec, timingText } from './timing.js';

/** How missed ticks are handled. */
export type CatchUp = 'skip' | 'last' | 'all';

/** The stored progress. Times are in milliseconds since 1970. */
export interface Progress {
  /** The times that are in force. */
  readonly timing: TimingSpec;
  /** When the program that defined them started: the latest of several definitions is in force. */
  readonly chosenAt: number;
  /** When they came into force. Ticks before this time are not sent. */
  readonly since: number;
  /** The last tick that was sent or skipped; null: none yet. */
  readonly tick: number | null;
  /** How often the clock was found far behind the last tick. */
  readonly resets: number;
}

/** A tick that is later than this is a missed one. */
const MISSED_AFTER_MS = 60_000;

/** If the last tick is further ahead of the clock than this, the clock was wrong when that was sent. */
const CLOCK_SLACK_MS = 3 * 3_600_000;

export type Step =
  /** `until` is undefined if there are no more ticks. */
  | { readonly type: 'wait'; readonly until: number | undefined }
  | { readonly type: 'send'; readonly tick: number }
  /** The ticks from the first to the last of these were missed, and are not sent. */
  | { readonly type: 'skip'; readonly from: number; readonly to: number }
  /** The last tick is far ahead of the clock. */
  | { readonly type: 'reset'; readonly tick: number };

export function nextStep(progress: Progress, timing: Timing, catchUp: CatchUp, now: number): Step {
  const reached = reachedBy(progress);
  if (reached - now > CLOCK_SLACK_MS) return { type: 'reset', tick: reached };
  const first = timing.next(reached);
  if (first === undefined || first > now) return { type: 'wait', until: first };
  const missedUpTo = now - MISSED_AFTER_MS - 1;
  if (catchUp === 'all' || first > missedUpTo) return { type: 'send', tick: first };
  if (catchUp === 'skip') return { type: 'skip', from: first, to: timing.last(missedUpTo) };
  const last = timing.last(now);
  if (last === first) return { type: 'send', tick: first };
  return { type: 'skip', from: first, to: timing.last(last - 1) };
}

/** The time up to which all ticks were sent or skipped. */
export function reachedBy({ tick, since }: Progress): number {
  return Math.max(tick ?? Number.NEGATIVE_INFINITY, since);
}

/** All programs write the same text for the same progress, since backends compare the texts. */
export function progressText({ timing, chosenAt, since, tick, resets }: Progress): string {
  const { cron, tz, everyMs } = timing as { cron?: string; tz?: string; everyMs?: number };
  return JSON.stringify({ timing: { cron, tz, everyMs }, chosenAt, since, tick, resets });
}

/** Undefined for a text that does not encode a progress. */
export function parseProgress(text: string): Progress | undefined {
  try {
    const { timing, chosenAt, since, tick, resets } = JSON.parse(text);
    const isTiming =
      typeof timing.everyMs === 'number' ||
      (typeof timing.cron === 'string' && typeof timing.tz === 'string');
    const areNumbers = [chosenAt, since, resets, tick ?? 0].every((value) => Number.isFinite(value));
    return isTiming && areNumbers ? { timing, chosenAt, since, tick, resets } : undefined;
  } catch {
    return undefined;
  }
}

export function isSameTiming(one: Progress, other: Progress): boolean {
  return timingText(one.timing) === timingText(other.timing);
}

/**
 * The merged knowledge of two programs, regardless of the order of merging. `now` detects definitions from a clock that
 * was far ahead, which would otherwise be in force forever.
 */
export function mergeProgress(one: Progress, other: Progress, now: number): Progress {
  const newer = isNewer(one, other, now) ? one : other;
  const older = newer === one ? other : one;
  const { timing, chosenAt } = newer;
  const { tick, resets } = furthest(one, other);
  return { timing, chosenAt, since: sinceOf(newer, older), tick, resets };
}

function isNewer(one: Progress, other: Progress, now: number): boolean {
  const [oneAt, otherAt] = [one, other].map(({ chosenAt }) =>
    chosenAt - now > CLOCK_SLACK_MS ? 0 : chosenAt,
  );
  if (oneAt !== otherAt) return (oneAt as number) > (otherAt as number);
  return timingText(one.timing) >= timingText(other.timing);
}

/** Re-registering a timing that is in force does not move its start. */
function sinceOf(newer: Progress, older: Progress): number {
  if (!isSameTiming(newer, older)) return newer.since;
  if (newer.resets !== older.resets) return furthest(newer, older).since;
  return Math.min(newer.since, older.since);
}

/** The one whose tick counts. */
function furthest(one: Progress, other: Progress): Progress {
  if (one.resets !== other.resets) return one.resets > other.resets ? one : other;
  return (one.tick ?? Number.NEGATIVE_INFINITY) >= (other.tick ?? Number.NEGATIVE_INFINITY) ? one : other;
}
