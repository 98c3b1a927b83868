/** The headers in which a retried or postponed message carries its history. They are the same on every backend. */
import type { Failure, HeaderValue, MessageHeaders } from '../../broker.js';
import { ERROR, FIRST_ERROR, fitting, withFailure } from './failure-headers.js';

/** Header names with this prefix belong to the toolkit; senders can't set them. */
export const RESERVED_HEADER_PREFIX = 'x-millrace-';

/** On a retried message: the number of its next attempt. */
export const ATTEMPT = 'x-millrace-attempt';
/** On a postponed message: how often it was postponed. */
export const POSTPONES = 'x-millrace-postpones';

/** The maximum number of attempts of a retry policy, and so of a message. */
export const MAX_ATTEMPTS = 100_000;

/** Enough to explain a failure; the header table of a message is limited (64 KiB in amqplib). */
const MAX_ERROR_LENGTH = 1000;

/** The text of an error, cut to a length that headers can carry. */
export function shorten(error: string): string {
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
  return fitting({
    [FIRST_ERROR]: error,
    ...withFailure(headers, nextAttempt - 1, failure),
    [ATTEMPT]: String(nextAttempt),
    [ERROR]: error,
  });
}

/** The headers of a message that is postponed. */
export function postponeHeaders(headers: MessageHeaders, attempt: number): Record<string, HeaderValue> {
  return { ...headers, [ATTEMPT]: String(attempt), [POSTPONES]: String(postponesOf(headers) + 1) };
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

/** A count in a header. Any client may have written it, so only digits are accepted, and nothing is converted. */
export function toCount(value: unknown): number {
  const count =
    typeof value === 'number'
      ? value
      : typeof value === 'string' && /^\d{1,16}$/.test(value)
        ? Number(value)
        : 1;
  return Number.isSafeInteger(count) && count >= 1 ? count : 1;
}
