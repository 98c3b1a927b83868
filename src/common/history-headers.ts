/**
 * The headers in which a retried message and a dead letter carry their history. They are the same on every backend.
 */
import type { DeadLetterCode, Failure, HeaderValue, MessageHeaders } from '../broker.js';

/** Header names with this prefix belong to the toolkit; senders can't set them. */
export const RESERVED_HEADER_PREFIX = 'x-millrace-';

/** On a retried message: the number of its next attempt. */
const ATTEMPT = 'x-millrace-attempt';
/** On a postponed message: how often it was postponed. */
const POSTPONES = 'x-millrace-postpones';
/** On a dead letter: the number of its attempts. In its new queue it starts at attempt 1. */
const ATTEMPTS = 'x-millrace-attempts';
/** When the message expires, if the backend has no better place for it. */
const EXPIRES_AT = 'x-millrace-expires-at';
const REASON = 'x-millrace-reason';
const ERROR = 'x-millrace-error';
const FIRST_ERROR = 'x-millrace-first-error';
const QUEUE = 'x-millrace-queue';
const DEAD_AT = 'x-millrace-dead-at';

/** The maximum number of attempts of a retry policy, and so of a message. */
export const MAX_ATTEMPTS = 100_000;

/** Enough to explain a failure; the header table of a message is limited (64 KiB in amqplib). */
const MAX_ERROR_LENGTH = 1000;

function shorten(error: string): string {
  if (error.length <= MAX_ERROR_LENGTH) return error;
  return `${error.slice(0, MAX_ERROR_LENGTH).toWellFormed()}…`;
}

/** The headers of a message that is stored for another attempt. */
export function retryHeaders(
  headers: MessageHeaders,
  nextAttempt: number,
  failure: Failure,
): Record<string, HeaderValue> {
  const error = shorten(failure.error);
  return { [FIRST_ERROR]: error, ...headers, [ATTEMPT]: String(nextAttempt), [ERROR]: error };
}

/** The headers of a message that is postponed. */
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

/** The attempt in a message's headers; 1 if there is none, or one that no policy can reach. */
export function attemptOf(headers: Readonly<Record<string, unknown>>): number {
  const attempt = toCount(headers[ATTEMPT]);
  return attempt <= MAX_ATTEMPTS ? attempt : 1;
}

/** How often a message was postponed, according to its headers; 0 if they don't say. */
export function postponesOf(headers: Readonly<Record<string, unknown>>): number {
  if (!Object.hasOwn(headers, POSTPONES)) return 0;
  const postpones = toCount(headers[POSTPONES]);
  return postpones <= MAX_ATTEMPTS ? postpones : 0;
}

/** Any client may have written the header, so only digits are accepted, and nothing is converted. */
function toCount(value: unknown): number {
  const count =
    typeof value === 'number'
      ? value
      : typeof value === 'string' && /^\d{1,16}$/.test(value)
        ? Number(value)
        : 1;
  return Number.isSafeInteger(count) && count >= 1 ? count : 1;
}

/** The history in the headers of a dead letter. */
export interface DeadLetterHistory {
  /** Why it became a dead letter; another version of the toolkit may write further codes. */
  readonly reason: DeadLetterCode | (string & {});
  /** The text of the last error. At most 1000 characters. */
  readonly error: string;
  /** The text of the first error; the same if there was one attempt. */
  readonly firstError: string;
  /** The number of attempts. */
  readonly attempts: number;
  /** The queue that it came from. */
  readonly queue: string;
  /** ISO 8601. */
  readonly deadAt: string;
}

/** Reads the history of a dead letter; undefined if the toolkit did not write it. */
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

/** Any client may have written the header. */
function textOf(value: HeaderValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** Adds the expiry of the message to its headers. */
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

/** Whether {@link expiryIn} finds an expiry. */
export function hasExpiry(headers: MessageHeaders): boolean {
  return Object.hasOwn(headers, EXPIRES_AT);
}
