/** Which dead letters a call is about, and how long it may take. */
import type { Delivery, WaitOptions } from '../broker.js';
import { throwIfAborted } from '../common/limits.js';
import { checkOptionNames, durationOption, integerOption, invalidOption } from '../common/options.js';
import { type DeadLetter, toDeadLetter } from './dead-letter.js';
import type { QueueScan } from './scan.js';

/** Which dead letters are meant: those for which all that is given here holds. */
export interface DeadLetterFilter {
  /** One of these ids. */
  readonly ids?: readonly string[] | undefined;
  /** This reason, as {@link DeadLetter.reason} has it. */
  readonly reason?: string | undefined;
  /** Dead at this time or later. A letter that does not tell its time is not meant. */
  readonly since?: Date | undefined;
  /** Dead before this time. A letter that does not tell its time is not meant. */
  readonly before?: Date | undefined;
  /** This text, exactly as written here, is in the body or in one of the errors. */
  readonly match?: string | undefined;
}

export interface SelectionOptions extends DeadLetterFilter, WaitOptions {
  /** How many letters at most. */
  readonly limit?: number | undefined;
}

/** How far a look into the queue went. */
export interface ScanResult {
  /** How many letters were in the dead-letter queue at the beginning. */
  readonly total: number;
  /**
   * How many of them were looked at, the first ones. Where these are fewer than all, and fewer letters were found than
   * were asked for, no more could be held.
   */
  readonly examined: number;
}

const NAMES = ['ids', 'reason', 'since', 'before', 'match', 'limit', 'signal', 'timeoutMs'] as const;

export interface Selection {
  readonly wait: WaitOptions;
  readonly limit: number;
  readonly matches: (letter: DeadLetter) => boolean;
  /** Whether each letter is meant, as far as the limit goes. */
  readonly isUnfiltered: boolean;
}

/** Throws `INVALID_OPTION`. `more`: the names of the options that the caller has besides. */
export function checkSelection(
  where: string,
  options: SelectionOptions,
  defaultLimit: number,
  more: readonly string[] = [],
): Selection {
  checkOptionNames(where, options, [...NAMES, ...more]);
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidOption('signal', 'an AbortSignal', signal);
  }
  const { ids, reason, since, before, match } = options;
  return {
    wait: {
      signal,
      timeoutMs: durationOption('timeoutMs', options.timeoutMs, { infinity: true, default: 30_000 }),
    },
    limit: integerOption('limit', options.limit, { min: 1, infinity: true, default: defaultLimit }),
    matches: toPredicate(options),
    isUnfiltered: [ids, reason, since, before, match].every((part) => part === undefined),
  };
}

/**
 * The letters of a walk that are meant, until the limit of those that `take` says true of is reached. Each is still
 * in the queue, and the walk's to remove.
 */
export async function forEachSelected(
  walk: QueueScan,
  { limit, matches, isUnfiltered, wait }: Selection,
  take: (letter: DeadLetter, delivery: Delivery) => boolean | Promise<boolean>,
): Promise<void> {
  let taken = 0;
  while (taken < limit) {
    throwIfAborted(wait.signal, 'scanning dead letters');
    const delivery = await walk.next(isUnfiltered ? limit - taken : undefined);
    if (delivery === undefined) return;
    const letter = toDeadLetter(delivery.message);
    if (matches(letter) && (await take(letter, delivery))) taken++;
  }
}

function toPredicate(filter: DeadLetterFilter): (letter: DeadLetter) => boolean {
  const { ids, reason, match } = filter;
  if (ids !== undefined && !(Array.isArray(ids) && ids.every((id) => typeof id === 'string'))) {
    throw invalidOption('ids', 'an array of strings', ids);
  }
  checkText('reason', reason);
  checkText('match', match);
  const since = toTime('since', filter.since) ?? Number.NEGATIVE_INFINITY;
  const before = toTime('before', filter.before) ?? Number.POSITIVE_INFINITY;
  const isTimed = filter.since !== undefined || filter.before !== undefined;
  const idSet = ids === undefined ? undefined : new Set(ids);
  return (letter) => {
    if (idSet !== undefined && !idSet.has(letter.id)) return false;
    if (reason !== undefined && letter.reason !== reason) return false;
    if (isTimed) {
      const at = letter.deadAt === undefined ? Number.NaN : Date.parse(letter.deadAt);
      if (!(at >= since && at < before)) return false;
    }
    return match === undefined || contains(letter, match);
  };
}

function contains({ message: { body }, error, firstError }: DeadLetter, text: string): boolean {
  if (error.includes(text) || firstError.includes(text)) return true;
  if (typeof body === 'string') return body.includes(text);
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes(text);
}

function checkText(name: string, value: string | undefined): void {
  if (value !== undefined && typeof value !== 'string') throw invalidOption(name, 'a string', value);
}

function toTime(name: string, value: Date | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.getTime();
  throw invalidOption(name, 'a Date', value);
}
