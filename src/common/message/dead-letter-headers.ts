/** The headers in which a dead letter carries its history. They are the same on every backend. */
import type { DeadLetterCode, Failure, HeaderValue, MessageHeaders } from '../../broker.js';
import { EXPIRES_AT } from './expiry.js';
import { ATTEMPT, ERROR, FIRST_ERROR, POSTPONES, shorten, toCount } from './retry-headers.js';

/** On a dead letter: the number of its attempts. In its new queue it starts at attempt 1. */
const ATTEMPTS = 'x-millrace-attempts';
const REASON = 'x-millrace-reason';
const QUEUE = 'x-millrace-queue';
const DEAD_AT = 'x-millrace-dead-at';

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
