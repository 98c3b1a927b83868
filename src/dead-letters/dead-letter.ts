import type { DeadLetterCode, Message } from '../broker.js';
import { deadLetterHistory, RESERVED_HEADER_PREFIX } from '../common/history-headers.js';
import { brokerDeath, describeDeath } from './broker-death.js';

/** A message in a dead-letter queue, and what is known of how it came there. */
export interface DeadLetter {
  /**
   * The message's id. One that its sender gave none gets another at each look: choose it by something else.
   */
  readonly id: string;
  /** The queue it was a message of; undefined where nothing tells. */
  readonly queue: string | undefined;
  /**
   * A code of the toolkit, RabbitMQ's own word (`rejected`, `expired`, `maxlen`, `delivery-limit`), or `unknown` for
   * a message that carries no history.
   */
  readonly reason: DeadLetterCode | 'expired' | 'maxlen' | 'unknown' | (string & {});
  /** Why the last attempt failed; `''` where nothing tells. */
  readonly error: string;
  /** Why the first attempt failed; `''` where nothing tells. */
  readonly firstError: string;
  /** How often it was tried; undefined where nothing tells. */
  readonly attempts: number | undefined;
  /** When it became a dead letter, ISO 8601; undefined where nothing tells. */
  readonly deadAt: string | undefined;
  /** As it lies there, with the headers that tell all this. */
  readonly message: Message;
}

/** Reads what the toolkit or RabbitMQ wrote onto a dead letter. What the toolkit wrote tells more, and comes first. */
export function toDeadLetter(message: Message): DeadLetter {
  const { id, headers } = message;
  const history = deadLetterHistory(headers);
  const death = brokerDeath(headers);
  if (history !== undefined) {
    const { reason, error, firstError, attempts } = history;
    const queue = history.queue === '' ? death?.queue : history.queue;
    const deadAt = Number.isNaN(Date.parse(history.deadAt)) ? undefined : history.deadAt;
    return { id, queue, reason, error, firstError, attempts, deadAt, message };
  }
  if (death !== undefined) {
    const { queue, reason, deadAt } = death;
    const attempts = reason === 'rejected' ? death.count : undefined;
    return { id, queue, reason, error: describeDeath(death), firstError: '', attempts, deadAt, message };
  }
  return {
    id,
    queue: undefined,
    reason: 'unknown',
    error: '',
    firstError: '',
    attempts: undefined,
    deadAt: undefined,
    message,
  };
}

/** What RabbitMQ wrote onto the message, and the headers by which it would route a new one to further queues. */
const BROKER_HEADERS = /^(x-(death|(first|last)-death-.*|delivery-count|acquired-count)|B?CC)$/;

/** The message as it was before it failed: without its history, so that its next attempt is the first. */
export function withoutHistory(message: Message): Message {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) {
    if (!name.startsWith(RESERVED_HEADER_PREFIX) && !BROKER_HEADERS.test(name)) headers[name] = value;
  }
  return { ...message, headers };
}
