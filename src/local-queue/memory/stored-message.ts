import { DEFAULT_PRIORITY, type Failure, type HeaderValue, type Message } from '../../broker.js';
import { shareHeaders } from '../../common/headers.js';
import { deadLetterHeaders } from '../../common/history-headers.js';
import { copyMessage } from '../../common/message.js';

/** A message as a queue holds it. */
export class StoredMessage {
  /** The queue's own copy; handed out by {@link handOut} only. */
  readonly message: Message;
  readonly priority: number;
  /**
   * 1 for whatever is published, and for a dead letter in its new queue. Kept here and not read from the headers,
   * where a sender could write it.
   */
  readonly attempt: number;
  /** Whether it was handed out before. */
  redelivered: boolean;
  /** Its place among those of its priority, assigned by the queue; kept when it goes back. */
  place = 0;

  /** Until when it waits before its first delivery, on the clock of `performance.now()`. */
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

/** The time of the machine minus that of `performance.now()`. */
let epoch = Date.now() - performance.now();

/**
 * When a new message is due, on the clock of `performance.now()`. Equal times stay equal, so that they keep their order:
 * the difference of the clocks, which flickers by a millisecond, is kept until somebody sets the clock.
 */
export function dueOf({ dueAt }: Message): number | undefined {
  if (dueAt === undefined) return undefined;
  const difference = Date.now() - performance.now();
  if (Math.abs(difference - epoch) > 1000) epoch = difference;
  return dueAt - epoch;
}
