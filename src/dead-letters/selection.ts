/** Which dead letters a call is about, and how it goes through them. */
import type { Backend, Delivery, WaitOptions } from '../broker.js';
import { throwIfAborted } from '../common/limits.js';
import {
  checkOptionNames,
  checkSignal,
  durationOption,
  integerOption,
  invalidOption,
} from '../common/options.js';
import { isQueueError, QueueError } from '../errors.js';
import type { Queue } from '../queue.js';
import { type DeadLetter, toDeadLetter } from './dead-letter.js';
import { QueueScan } from './scan.js';

/** Selects dead letters: those that meet all that is given here. */
export interface DeadLetterFilter {
  /** One of these ids. */
  readonly ids?: readonly string[] | undefined;
  /** This reason, as in {@link DeadLetter.reason}. */
  readonly reason?: string | undefined;
  /** Dead at this time or later. One whose time is unknown is not selected. */
  readonly since?: Date | undefined;
  /** Dead before this time. One whose time is unknown is not selected. */
  readonly before?: Date | undefined;
  /** This text, exactly as written here, is in the body or in one of the errors. */
  readonly match?: string | undefined;
}

/** Which dead letters are meant, and what bounds the search for them. */
export interface SelectionOptions extends DeadLetterFilter, WaitOptions {
  /** How many dead letters at most. */
  readonly limit?: number | undefined;
  /** Ends the call with `ABORTED`; what it holds goes back. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long the call may go on without getting to a further dead letter, or without storing one; then it rejects with
   * `TIMEOUT`, and what it holds goes back. Milliseconds, `Infinity` for no limit. Default: 30 000.
   */
  readonly timeoutMs?: number | undefined;
}

/** How far a scan of the dead-letter queue went. */
export interface ScanResult {
  /** How many dead letters were in the queue at the beginning. */
  readonly total: number;
  /**
   * How many of them were read, from the first on. If these are fewer than all, and fewer were found than were asked
   * for, no more could be held.
   */
  readonly scanned: number;
}

const NAMES = ['ids', 'reason', 'since', 'before', 'match', 'limit', 'signal', 'timeoutMs'] as const;

interface Selection {
  readonly wait: WaitOptions;
  readonly limit: number;
  readonly matches: (letter: DeadLetter) => boolean;
  /** Whether every dead letter is selected, up to the limit. */
  readonly isUnfiltered: boolean;
}

/** Throws `INVALID_OPTION`. `more`: the names of the caller's other options. */
export function checkSelection(
  where: string,
  options: SelectionOptions,
  defaultLimit: number,
  more: readonly string[] = [],
): Selection {
  checkOptionNames(where, options, [...NAMES, ...more]);
  const { ids, reason, since, before, match, signal } = options;
  checkSignal(signal);
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

/** Where dead letters are stored, and what they were. */
export interface Source {
  readonly broker: Backend;
  /** The queue that they were messages of. */
  readonly name: string;
  readonly deadLetterQueue: string;
  /** Whether the caller named the dead-letter queue: then it must exist. */
  readonly isNamed: boolean;
  /** Undefined if the schema of the queue is not known. */
  readonly decode: Queue<never, unknown>['decode'] | undefined;
}

/**
 * Begins to scan the dead letters. Undefined if there is no dead-letter queue, since one is made only when it is first
 * needed. Rejects with `QUEUE_MISSING` if the queue itself does not exist either.
 */
export async function beginScan(
  source: Source,
  { wait }: Selection,
  maxWindow?: number,
): Promise<QueueScan | undefined> {
  try {
    return await QueueScan.begin(source.broker, source.deadLetterQueue, wait, maxWindow);
  } catch (error) {
    if (!isQueueError(error, 'QUEUE_MISSING') || source.isNamed) throw error;
  }
  try {
    await source.broker.inspect(source.name, wait);
    return undefined;
  } catch (cause) {
    if (!isQueueError(cause, 'QUEUE_MISSING')) throw cause;
    throw new QueueError(
      'QUEUE_MISSING',
      `neither the queue '${source.name}' nor its dead-letter queue '${source.deadLetterQueue}' exists; if its dead letters are in another queue, name that one`,
      { cause },
    );
  }
}

/**
 * Calls `take` with each selected dead letter, until the limit of those for which it returns true is reached. Each is
 * still in the queue, and the scan's to remove.
 */
export async function forEachSelected(
  scan: QueueScan,
  { limit, matches, isUnfiltered, wait }: Selection,
  take: (letter: DeadLetter, delivery: Delivery) => boolean | Promise<boolean>,
): Promise<void> {
  let taken = 0;
  while (taken < limit) {
    throwIfAborted(wait.signal, 'scanning dead letters');
    const delivery = await scan.next(isUnfiltered ? limit - taken : undefined);
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
