import type { DeadLetterCode, Message, MessageHeaders } from '../broker.js';
import { BROKER_HEADERS, latestDeath } from '../common/message/broker-headers.js';
import { deadLetterHistory } from '../common/message/dead-letter-headers.js';
import { type AttemptFailure, failuresIn, stackIn } from '../common/message/failure-headers.js';
import { RESERVED_HEADER_PREFIX } from '../common/message/retry-headers.js';

/** A message in a dead-letter queue, with the history of its failure. */
export interface DeadLetter {
  /**
   * The message's id. A message that was sent without an id gets a new one each time it is read: select it by something
   * else.
   */
  readonly id: string;
  /**
   * The queue that it came from, according to its headers; undefined if they don't say. Any client that may publish to
   * the dead-letter queue can write these headers, so they never decide where the message is sent.
   */
  readonly queue: string | undefined;
  /**
   * A code of the toolkit, RabbitMQ's reason (`rejected`, `expired`, `maxlen`, `delivery-limit`), or `unknown` for a
   * message without any history.
   */
  readonly reason: DeadLetterCode | 'expired' | 'maxlen' | 'unknown' | (string & {});
  /** Why the last attempt failed; `''` if unknown. */
  readonly error: string;
  /** Why the first attempt failed; `''` if unknown. */
  readonly firstError: string;
  /** The number of attempts; undefined if unknown. */
  readonly attempts: number | undefined;
  /**
   * How its first attempt and its last nine failed, oldest first; empty if unknown. An attempt whose process died is not
   * among them.
   */
  readonly failures: readonly AttemptFailure[];
  /**
   * The stack of the last error, followed by those of its causes, for people to read. At most 4096 bytes of UTF-8;
   * undefined if unknown. A message that expired, or was never settled, has that of the error before.
   */
  readonly stack: string | undefined;
  /** When it became a dead letter, ISO 8601; undefined if unknown. */
  readonly deadAt: string | undefined;
  /** The message as it is stored, with the headers that carry this history. */
  readonly message: Message;
}

/** Reads the history headers of a dead letter. Those of the toolkit say more than RabbitMQ's, and take precedence. */
export function toDeadLetter(message: Message): DeadLetter {
  const { id, headers } = message;
  const failures = failuresIn(headers);
  const history = deadLetterHistory(headers);
  const death = brokerDeath(headers);
  if (history !== undefined) {
    const { reason, error, firstError, attempts, stack } = history;
    const queue = history.queue === '' ? death?.queue : history.queue;
    const deadAt = Number.isNaN(Date.parse(history.deadAt)) ? undefined : history.deadAt;
    return { id, queue, reason, error, firstError, attempts, failures, stack, deadAt, message };
  }
  const stack = stackIn(headers);
  if (death !== undefined) {
    const { queue, reason, deadAt } = death;
    const attempts = reason === 'rejected' ? death.count : undefined;
    const error = DEATH_DESCRIPTIONS[reason] ?? '';
    return { id, queue, reason, error, firstError: '', attempts, failures, stack, deadAt, message };
  }
  return {
    id,
    queue: undefined,
    reason: 'unknown',
    error: '',
    firstError: '',
    attempts: undefined,
    failures,
    stack,
    deadAt: undefined,
    message,
  };
}

/** The last time that a `Date` can represent. Timestamps in microseconds or nanoseconds exceed it. */
const LAST_TIME = 8.64e15;

/**
 * The message as it was before it failed, without its history, so that its next attempt is the first. Leaves out an
 * impossible timestamp, which no backend would store.
 */
export function withoutHistory(message: Message): Message {
  const isSenders = (name: string) => !name.startsWith(RESERVED_HEADER_PREFIX) && !BROKER_HEADERS.test(name);
  // Not by assignment, which loses a header called `__proto__`.
  const headers = Object.fromEntries(Object.entries(message.headers).filter(([name]) => isSenders(name)));
  const { timestamp } = message;
  const isTime =
    timestamp !== undefined && Number.isInteger(timestamp) && timestamp >= 0 && timestamp <= LAST_TIME;
  return { ...message, headers, timestamp: isTime ? timestamp : undefined };
}

/** What RabbitMQ records in a message that it dead-letters itself (https://www.rabbitmq.com/docs/dlx). */
interface BrokerDeath {
  readonly reason: string;
  /** The queue from which it was moved. */
  readonly queue: string;
  /** How often it was moved from there for that reason. */
  readonly count: number;
  /** ISO 8601. */
  readonly deadAt: string | undefined;
}

const DEATH_DESCRIPTIONS: Readonly<Record<string, string>> = {
  rejected: 'rejected by a consumer',
  expired: 'it expired before it was delivered',
  maxlen: 'its queue was at its maximum length',
  'delivery-limit': 'delivered too often without being settled',
};

/** The latest entry of the header `x-death`. Undefined if there is none that can be read. */
export function brokerDeath(headers: MessageHeaders): BrokerDeath | undefined {
  const { reason, queue, count, time } = latestDeath(headers) ?? {};
  if (typeof reason !== 'string' || typeof queue !== 'string') return undefined;
  return {
    // The toolkit spells this reason differently.
    reason: reason === 'delivery_limit' ? 'delivery-limit' : reason,
    queue,
    count: typeof count === 'number' ? count : 1,
    deadAt: time instanceof Date ? time.toISOString() : undefined,
  };
}
