/** Selects the dead letters for a call, and iterates over them. */
import type { Backend, Delivery, WaitOptions } from '../broker.js';
import { QueueScan } from '../common/operator/queue-scan.js';
import {
  checkOptionNames,
  checkSignal,
  durationOption,
  integerOption,
  invalidOption,
  refusePromise,
} from '../common/options.js';
import { throwIfAborted } from '../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../errors.js';
import type { Queue } from '../queue.js';
import { type DeadLetter, toDeadLetter } from './dead-letter.js';

/** Selects the dead letters that meet all of these conditions. */
export interface DeadLetterFilter {
  /** The id is one of these. */
  readonly ids?: readonly string[] | undefined;
  /** The reason is this one; see {@link DeadLetter.reason}. */
  readonly reason?: string | undefined;
  /** It became a dead letter at this time or later. Excludes dead letters whose time is unknown. */
  readonly since?: Date | undefined;
  /** It became a dead letter before this time. Excludes dead letters whose time is unknown. */
  readonly before?: Date | undefined;
  /** The body or one of the errors contains this text. Case-sensitive. */
  readonly match?: string | undefined;
  /** This returns true. If it throws, the call ends. */
  readonly where?: ((deadLetter: DeadLetter) => boolean) | undefined;
}

/** Which dead letters to select, and limits for the search. */
export interface SelectionOptions extends DeadLetterFilter, WaitOptions {
  /** The maximum number of dead letters. */
  readonly limit?: number | undefined;
  /** Ends the call with `ABORTED`; the messages that it holds return to the queue. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long the call may go without progress, such as reading or storing another dead letter; then it rejects with
   * `TIMEOUT`, and the messages that it holds return to the queue. Milliseconds, `Infinity` for no limit. Default:
   * 30,000.
   */
  readonly timeoutMs?: number | undefined;
}

/** How far a scan of the dead-letter queue got. */
export interface ScanResult {
  /** How many dead letters were in the queue at the start. */
  readonly total: number;
  /**
   * How many of them were read, from the first on. If that is less than `total`, and fewer were selected than
   * requested, the call could not hold more.
   */
  readonly scanned: number;
}

const NAMES = ['ids', 'reason', 'since', 'before', 'match', 'where', 'limit', 'signal', 'timeoutMs'] as const;

interface Selection {
  readonly wait: WaitOptions;
  readonly limit: number;
  readonly matches: (deadLetter: DeadLetter) => boolean;
  /** Whether every dead letter is selected, up to the limit. */
  readonly isUnfiltered: boolean;
}

/** Throws `INVALID_OPTION`. `more`: the names of further options of the caller. */
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
    isUnfiltered: [ids, reason, since, before, match, options.where].every((part) => part === undefined),
  };
}

/** A queue and its dead-letter queue. */
export interface Source {
  readonly broker: Backend;
  /** The queue that the dead letters came from. */
  readonly name: string;
  readonly deadLetterQueue: string;
  /** Whether the caller named the dead-letter queue, which must then exist. */
  readonly isNamed: boolean;
  /** Undefined if the schema of the queue is not known. */
  readonly decode: Queue<never, unknown>['decode'] | undefined;
}

/**
 * Starts a scan of the dead letters. Undefined if there is no dead-letter queue, which is created only when first
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
      `neither the queue '${source.name}' nor its dead-letter queue '${source.deadLetterQueue}' exists; if its dead letters are in a different queue, name that one`,
      { cause },
    );
  }
}

/**
 * Calls `take` with each selected dead letter, until it has returned true as often as the limit allows. The scan holds
 * each of them, so `take` may remove it. `untilRoom` is called where the scan can hold no more: if it resolves to true,
 * there may be room again.
 */
export async function forEachSelected(
  scan: QueueScan,
  { limit, matches, isUnfiltered, wait }: Selection,
  take: (deadLetter: DeadLetter, delivery: Delivery) => boolean | Promise<boolean>,
  untilRoom: () => Promise<boolean> = async () => false,
): Promise<void> {
  let taken = 0;
  while (taken < limit) {
    throwIfAborted(wait.signal, 'scanning dead letters');
    const delivery = await scan.next(isUnfiltered ? limit - taken : undefined);
    if (delivery === undefined) {
      if (scan.scanned < scan.total && (await untilRoom())) continue;
      return;
    }
    const deadLetter = toDeadLetter(delivery.message);
    if (matches(deadLetter) && (await take(deadLetter, delivery))) taken++;
  }
}

function toPredicate(filter: DeadLetterFilter): (deadLetter: DeadLetter) => boolean {
  const { ids, reason, match, where } = filter;
  if (where !== undefined && typeof where !== 'function') throw invalidOption('where', 'a function', where);
  if (ids !== undefined && !(Array.isArray(ids) && ids.every((id) => typeof id === 'string'))) {
    throw invalidOption('ids', 'an array of strings', ids);
  }
  checkText('reason', reason);
  checkText('match', match);
  const since = toTime('since', filter.since) ?? Number.NEGATIVE_INFINITY;
  const before = toTime('before', filter.before) ?? Number.POSITIVE_INFINITY;
  const isTimed = filter.since !== undefined || filter.before !== undefined;
  const idSet = ids === undefined ? undefined : new Set(ids);
  return (deadLetter) => {
    if (idSet !== undefined && !idSet.has(deadLetter.id)) return false;
    if (reason !== undefined && deadLetter.reason !== reason) return false;
    if (isTimed) {
      const at = deadLetter.deadAt === undefined ? Number.NaN : Date.parse(deadLetter.deadAt);
      if (!(at >= since && at < before)) return false;
    }
    if (match !== undefined && !contains(deadLetter, match)) return false;
    if (where === undefined) return true;
    const isWanted: unknown = where(deadLetter);
    refusePromise('where', 'a function that returns true or false', isWanted);
    return Boolean(isWanted);
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
