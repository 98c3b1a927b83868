/** The headers in which a dead letter carries its history. They are the same on every backend. */
import type { DeadLetterCode, Failure, HeaderValue, MessageHeaders } from '../../broker.js';
import { EXPIRES_AT } from './expiry.js';
import {
  type AttemptFailure,
  ERROR,
  FIRST_ERROR,
  failuresIn,
  fitting,
  stackOfLast,
  withFailure,
} from './failure-headers.js';
import { ATTEMPT, POSTPONES, shorten, toCount } from './retry-headers.js';

/** On a dead letter: the number of its attempts. In its new queue it starts at attempt 1. */
const ATTEMPTS = 'x-millrace-attempts';
const REASON = 'x-millrace-reason';
const QUEUE = 'x-millrace-queue';
const DEAD_AT = 'x-millrace-dead-at';

/** How a message became a dead letter. */
export interface Death {
  readonly queue: string;
  readonly attempt: number;
  readonly failure: Failure;
  /** Default: now. */
  readonly deadAt?: Date | undefined;
}

/** The headers of a message that is moved to a dead-letter queue, after a failure in this process. */
export function deadLetterHeaders(headers: MessageHeaders, death: Death): Record<string, HeaderValue> {
  return fitting(deadLetterFields(withFailure(headers, death.attempt, death.failure), death));
}

/** The same without an entry for its last failure, which happened elsewhere. */
export function deadLetterFields(
  headers: MessageHeaders,
  { queue, attempt, failure, deadAt = new Date() }: Death,
): Record<string, HeaderValue> {
  const error = shorten(failure.error);
  const { [ATTEMPT]: _, [POSTPONES]: _postpones, [EXPIRES_AT]: _expired, ...others } = headers;
  return {
    [FIRST_ERROR]: error,
    ...others,
    [ATTEMPTS]: String(attempt),
    [ERROR]: error,
    [REASON]: failure.code,
    [QUEUE]: queue,
    [DEAD_AT]: deadAt.toISOString(),
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
  /** How the first attempt and the last nine failed, oldest first; empty if its headers don't say. */
  readonly failures: readonly AttemptFailure[];
  /**
   * The stack of the last error, with those of its causes, at most 4096 bytes of UTF-8; undefined if there is none. A
   * message that expired, or was never settled, has that of the error before.
   */
  readonly stack: string | undefined;
  /** The queue that it came from. */
  readonly queue: string;
  /** ISO 8601. */
  readonly deadAt: string;
}

/** Reads the history of a dead letter; undefined if the toolkit did not write it. */
export function deadLetterHistory(headers: MessageHeaders): DeadLetterHistory | undefined {
  const reason = headers[REASON];
  if (typeof reason !== 'string') return undefined;
  const attempts = toCount(headers[ATTEMPTS]);
  return {
    reason,
    error: textOf(headers[ERROR]),
    firstError: textOf(headers[FIRST_ERROR]),
    attempts,
    failures: failuresIn(headers),
    stack: stackOfLast(headers, reason, attempts),
    queue: textOf(headers[QUEUE]),
    deadAt: textOf(headers[DEAD_AT]),
  };
}

/** Any client may have written the header. */
function textOf(value: HeaderValue | undefined): string {
  return typeof value === 'string' ? value : '';
}
