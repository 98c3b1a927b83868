/** The steps to which the delays of retries are rounded, unless a policy lists them. */
import { MAX_DELAY_MS } from '../../common/options.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const times = (unit: number, ...counts: number[]) => counts.map((count) => count * unit);

/** How long a retry waits. */
export interface RetryDelay {
  /** Milliseconds. */
  readonly ms: number;
  /** Whether it is one of the steps, and not a delay that the policy lists. */
  readonly isStep: boolean;
}

/** They include common values of Retry-After and of policies. Each is at most twice the previous one. */
export const DELAY_STEPS_MS: readonly number[] = [
  ...times(1, 10, 20, 30, 50, 100, 200, 300, 500, 700),
  ...times(SECOND, 1, 2, 3, 5, 7, 10, 15, 20, 30, 45),
  ...times(MINUTE, 1, 2, 3, 5, 7, 10, 15, 20, 30, 45),
  ...times(HOUR, 1, 2, 3, 4, 6, 8, 12),
  ...times(DAY, 1, 2, 3, 5, 7, 10, 14),
  MAX_DELAY_MS,
];

/**
 * The delay to use instead of `delayMs`: never a shorter one, and 0 for 0. A wait queue has one delay and is never
 * removed, so delays that are computed, or requested by a server, would leave behind a queue for every millisecond.
 */
export function delayStepOf(delayMs: number): number {
  if (delayMs === 0) return 0;
  return DELAY_STEPS_MS.find((step) => step >= delayMs) ?? MAX_DELAY_MS;
}
