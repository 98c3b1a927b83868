import { DEFAULT_PRIORITY, type Failure, type HeaderValue, type Message } from '../../broker.js';
import { copyMessage } from '../../common/message/create-and-check.js';
import { deadLetterHeaders } from '../../common/message/dead-letter-headers.js';
import { shareHeaders } from '../../common/message/headers.js';

/** A message in a queue. */
export class StoredMessage {
  /** The queue's own copy; subscribers get copies from {@link handOut}. */
  readonly message: Message;
  readonly priority: number;
  /**
   * 1 for a published message and for a dead letter in its new queue. Kept here instead of in the headers, where a sender
   * could write it.
   */
  readonly attempt: number;
  /** Whether it was delivered before. */
  redelivered: boolean;
  /** Its position within its priority, assigned by the queue; kept when it returns. */
  place = 0;

  /** When its first delivery is due, on the clock of `performance.now()`. */
  readonly dueAt: number | undefined;

  constructor(message: Message, attempt: number, redelivered: boolean, dueAt?: number) {
    this.dueAt = dueAt;
    this.message = message;
    this.priority = message.priority ?? DEFAULT_PRIORITY;
    this.attempt = attempt;
    this.redelivered = redelivered;
  }
}

/** A copy for one subscriber, which may change the bytes. */
export function handOut(message: Message): Message {
  return copyMessage(message, shareHeaders(message.headers));
}

/** The same message with other headers. */
export function withHeaders(message: Message, headers: Record<string, HeaderValue>): Message {
  return { ...message, headers: Object.freeze(headers) };
}

/** The message as a dead letter of that queue. It does not expire. */
export function deadLetterOf(
  { message, attempt }: StoredMessage,
  queue: string,
  failure: Failure,
): StoredMessage {
  const headers = deadLetterHeaders(message.headers, { queue, attempt, failure });
  return new StoredMessage({ ...withHeaders(message, headers), expiresAt: undefined }, 1, false);
}

/** The system time minus `performance.now()`. */
let epoch = Date.now() - performance.now();

/**
 * When a new message is due, on the clock of `performance.now()`. Equal times must stay equal to keep their order. The
 * difference of the clocks jitters by a millisecond, so it is kept until the system clock is changed.
 */
export function dueOf({ dueAt }: Message): number | undefined {
  if (dueAt === undefined) return undefined;
  const difference = Date.now() - performance.now();
  if (Math.abs(difference - epoch) > 1000) epoch = difference;
  return dueAt - epoch;
}
