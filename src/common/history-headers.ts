/**
 * The headers by which a retried message and a dead letter carry their history. Both backends write them, so
 * that a dead letter reads the same on every backend.
 */
import type { DeadLetterCode, Failure, HeaderValue, MessageHeaders } from '../broker.js';

/** Header names that begin like this belong to the toolkit; senders can't set them. */
export const RESERVED_HEADER_PREFIX = 'x-millrace-';

/** On a retried message: which attempt comes next. */
const ATTEMPT = 'x-millrace-attempt';
/** On a postponed message: how often that has happened. */
const POSTPONES = 'x-millrace-postpones';
/** On a dead letter: how often it was tried. It is in its new queue for the first time. */
const ATTEMPTS = 'x-millrace-attempts';
/** When the message becomes worthless, where the backend has no better place for it. */
const EXPIRES_AT = 'x-millrace-expires-at';
const REASON = 'x-millrace-reason';
const ERROR = 'x-millrace-error';
const FIRST_ERROR = 'x-millrace-first-error';
const QUEUE = 'x-millrace-queue';
const DEAD_AT = 'x-millrace-dead-at';

/** No retry policy has more attempts, so that no message is on a later one. */
export const MAX_ATTEMPTS = 100_000;

/** Enough to tell what went wrong; the header table of a message is limited (64 KiB in amqplib). */
const MAX_ERROR_LENGTH = 1000;

function shorten(error: string): string {
  if (error.length <= MAX_ERROR_LENGTH) return error;
  return `${error.slice(0, MAX_ERROR_LENGTH).toWellFormed()}…`;
}

/** The headers of a message that is put back for another attempt. */
export function retryHeaders(
  headers: MessageHeaders,
  nextAttempt: number,
  failure: Failure,
): Record<string, HeaderValue> {
  const error = shorten(failure.error);
  return { [FIRST_ERROR]: error, ...headers, [ATTEMPT]: String(nextAttempt), [ERROR]: error };
}

/** The headers of a message that is put back without having failed. */
export function postponeHeaders(headers: MessageHeaders, attempt: number): Record<string, HeaderValue> {
  return { ...headers, [ATTEMPT]: String(attempt), [POSTPONES]: String(postponesOf(headers) + 1) };
}

/** The headers of a message that is moved to a dead-letter queue. */
export function deadLetterHeaders(
  headers: MessageHeaders,
  history: {
    readonly queue: string;
    readonly attempt: number;
    readonly failure: Failure;
    /** Default: now. */
    readonly deadAt?: Date | undefined;
  },
): Record<string, HeaderValue> {
  const error = shorten(history.failure.error);
  const { [ATTEMPT]: _, [POSTPONES]: _postpones, [EXPIRES_AT]: _expired, ...others } = headers;
  return {
    [FIRST_ERROR]: error,
    ...others,
    [ATTEMPTS]: String(history.attempt),
    [ERROR]: error,
    [REASON]: history.failure.code,
    [QUEUE]: history.queue,
    [DEAD_AT]: (history.deadAt ?? new Date()).toISOString(),
  };
}

/** The attempt that a message says it is on; 1 if it says nothing readable, or what no policy leads to. */
export function attemptOf(headers: Readonly<Record<string, unknown>>): number {
  const attempt = toCount(headers[ATTEMPT]);
  return attempt <= MAX_ATTEMPTS ? attempt : 1;
}

/** How often a message says it was postponed; 0 if it says nothing readable. */
export function postponesOf(headers: Readonly<Record<string, unknown>>): number {
  if (!Object.hasOwn(headers, POSTPONES)) return 0;
  const postpones = toCount(headers[POSTPONES]);
  return postpones <= MAX_ATTEMPTS ? postpones : 0;
}

/** Anybody may have written the header: only digits are a count, and nothing is converted. */
function toCount(value: unknown): number {
  const count =
    typeof value === 'number'
      ? value
      : typeof value === 'string' && /^\d{1,16}$/.test(value)
        ? Number(value)
        : 1;
  return Number.isSafeInteger(count) && count >= 1 ? count : 1;
}

/** What a dead letter says about itself. */
export interface DeadLetterHistory {
  /** Why it became a dead letter; another version of the toolkit may write further codes. */
  readonly reason: DeadLetterCode | (string & {});
  /** The text of the last error. At most 1000 characters. */
  readonly error: string;
  /** The text of the first error; the same if there was one attempt. */
  readonly firstError: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** The queue it was a message of. */
  readonly queue: string;
  /** ISO 8601. */
  readonly deadAt: string;
}

/** Reads the headers of a dead letter; undefined where the toolkit did not write them. */
export function deadLetterHistory(headers: MessageHeaders): DeadLetterHistory | undefined {
  const reason = headers[REASON];
  if (typeof reason !== 'string') return undefined;
  return {
    reason,
    error: textOf(headers[ERROR]),
    firstError: textOf(headers[FIRST_ERROR]),
    attempts: toCount(headers[ATTEMPTS]),
    queue: textOf(headers[QUEUE]),
    deadAt: textOf(headers[DEAD_AT]),
  };
}

/** Anybody may have written the header. */
function textOf(value: HeaderValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** The headers with the time at which the message becomes worthless. */
export function withExpiry(headers: MessageHeaders, expiresAt: number): MessageHeaders {
  return { ...headers, [EXPIRES_AT]: String(expiresAt) };
}

/** The time that {@link withExpiry} wrote, and the headers without it. */
export function expiryIn(headers: MessageHeaders): {
  readonly expiresAt: number | undefined;
  readonly others: MessageHeaders;
} {
  const { [EXPIRES_AT]: text, ...others } = headers;
  const isTime = typeof text === 'string' && /^\d{1,16}$/.test(text);
  return { expiresAt: isTime ? Number(text) : undefined, others };
}

/** Whether {@link expiryIn} finds something. */
export function hasExpiry(headers: MessageHeaders): boolean {
  return Object.hasOwn(headers, EXPIRES_AT);
}
