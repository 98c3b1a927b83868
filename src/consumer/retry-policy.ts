/** How often a failed message is retried, and when: the options, their check, and the resulting delays. */
import type { DelayedRetry } from '../broker.js';
import { MAX_ATTEMPTS } from '../common/message/retry-headers.js';
import {
  checkOptionNames,
  integerOption,
  invalidOption,
  MAX_DELAY_MS,
  refusePromise,
} from '../common/options.js';

/** How often a failed message is retried, and when: a list of delays, or a rule to compute them. */
export type RetryPolicy = RetryDelays | RetryBackoff;

/** A list with the delay before each further attempt. */
export interface RetryDelays {
  /**
   * The wait before each further attempt, in milliseconds: `[1000, 10_000]` makes three attempts in all. On RabbitMQ
   * each distinct delay has its own wait queue, so use few. `[]`: no retries. 0: at once. Fewer than 100,000. Default:
   * `[1000, 10_000, 60_000]`; three that the queue itself can delay if it is defined with `delayedRetry`.
   */
  readonly delaysMs: readonly number[];
  /** Not used with `delaysMs`, whose length determines it. */
  readonly attempts?: undefined;
}

/**
 * Delays that are computed. RabbitMQ rounds them up to one of about forty, at most to twice as long (see
 * docs/retries.md); the local brokers keep them to the millisecond.
 */
export interface RetryBackoff {
  /** The number of attempts, including the first one. 1 to 100,000. */
  readonly attempts: number;
  /**
   * `'exponential'`: 1, 2, 4, 8… seconds, up to `maxDelayMs`. A function receives the number of the failed attempt, from 1
   * on, and returns milliseconds; if it throws or returns anything else, the exponential delay is used. Default:
   * `'exponential'`.
   */
  readonly backoff?: 'exponential' | ((attempt: number) => number) | undefined;
  /**
   * The random share of each delay, from 0 to 1: with 0.5 a delay of 10 seconds becomes 5 to 10 seconds. It spreads
   * messages that have failed together. Default: 0.
   */
  readonly jitter?: number | undefined;
  /** The longest delay. Milliseconds, at most 2,147,483,647 (24 days). Default: 3,600,000 (an hour). */
  readonly maxDelayMs?: number | undefined;
  /** Not used with `attempts`. */
  readonly delaysMs?: undefined;
}

/** A checked policy. */
export interface Retries {
  readonly attempts: number;
  /** The delay after the failure of attempt number `attempt`, from 1 on. Milliseconds. */
  readonly delayAfter: (attempt: number) => number;
  /** The delays of a list, which are kept exactly; none if delays are computed. */
  readonly exactDelaysMs: readonly number[];
}

const FIRST_DELAY_MS = 1000;

/** The default retry policy. */
export const DEFAULT_RETRIES: Retries = fixed([FIRST_DELAY_MS, 10_000, 60_000]);

/** How often a message may be postponed by default. */
export const DEFAULT_MAX_POSTPONES = 100;

/** Throws `INVALID_OPTION`. */
export function retriesOption(
  policy: RetryPolicy | undefined,
  delayedRetry: DelayedRetry | undefined,
): Retries {
  if (policy === undefined) {
    if (delayedRetry === undefined) return DEFAULT_RETRIES;
    return fixed([1, 2, 3].map((failures) => Math.min(failures * delayedRetry.minMs, delayedRetry.maxMs)));
  }
  checkOptionNames('retry', policy, ['delaysMs', 'attempts', 'backoff', 'jitter', 'maxDelayMs']);
  if (policy.attempts !== undefined) return computed(policy);
  checkOptionNames('retry, with delaysMs', policy, ['delaysMs', 'attempts']);
  const { delaysMs } = policy;
  if (!Array.isArray(delaysMs)) throw invalidOption('retry.delaysMs', 'an array of milliseconds', delaysMs);
  if (delaysMs.length >= MAX_ATTEMPTS) {
    throw invalidOption('retry.delaysMs', `fewer than ${MAX_ATTEMPTS} delays`, delaysMs.length);
  }
  return fixed(
    delaysMs.map((delayMs: number, index) =>
      integerOption(`retry.delaysMs[${index}]`, delayMs, { min: 0, max: MAX_DELAY_MS, default: 0 }),
    ),
  );
}

function fixed(delaysMs: readonly number[]): Retries {
  return {
    attempts: delaysMs.length + 1,
    delayAfter: (attempt) => delaysMs[attempt - 1] ?? 0,
    exactDelaysMs: [...new Set(delaysMs)],
  };
}

function computed(policy: RetryBackoff): Retries {
  checkOptionNames('retry, with attempts', policy, ['attempts', 'backoff', 'jitter', 'maxDelayMs']);
  const { backoff = 'exponential', jitter = 0 } = policy;
  const attempts = integerOption('retry.attempts', policy.attempts, {
    min: 1,
    max: MAX_ATTEMPTS,
    default: 1,
  });
  const maxDelayMs = integerOption('retry.maxDelayMs', policy.maxDelayMs, {
    min: 0,
    max: MAX_DELAY_MS,
    default: 3_600_000,
  });
  if (backoff !== 'exponential' && typeof backoff !== 'function') {
    throw invalidOption('retry.backoff', "'exponential' or a function of the attempt", backoff);
  }
  if (!(typeof jitter === 'number' && jitter >= 0 && jitter <= 1)) {
    throw invalidOption('retry.jitter', 'a number from 0 to 1', jitter);
  }
  const delayAfter = (attempt: number) => {
    const chosen = backoff === 'exponential' ? undefined : chosenDelay(backoff, attempt);
    const delayMs = Math.min(chosen ?? exponential(attempt), maxDelayMs);
    return Math.round(delayMs * (1 - jitter * Math.random()));
  };
  return { attempts, delayAfter, exactDelaysMs: [] };
}

function exponential(attempt: number): number {
  return FIRST_DELAY_MS * 2 ** Math.min(attempt - 1, 30);
}

/** Undefined if the function fails, since the failed message must be retried in any case. */
function chosenDelay(backoff: (attempt: number) => number, attempt: number): number | undefined {
  try {
    const delayMs = backoff(attempt);
    refusePromise('retry.backoff', 'milliseconds', delayMs);
    return typeof delayMs === 'number' && delayMs >= 0 ? delayMs : undefined;
  } catch {
    return undefined;
  }
}
