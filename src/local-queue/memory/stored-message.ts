import { DEFAULT_PRIORITY, MAX_PRIORITY, type Message } from '../../broker.js';
import { copyMessage } from '../../common/message.js';
import { quote } from '../../common/options.js';
import { QueueError } from '../../errors.js';

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

  constructor(message: Message, attempt: number, redelivered: boolean) {
    this.message = message;
    this.priority = message.priority ?? DEFAULT_PRIORITY;
    this.attempt = attempt;
    this.redelivered = redelivered;
  }
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/** A copy that the sender can't change any more. Throws `INVALID_MESSAGE`. */
export function takeIn(message: Message): Message {
  const { priority, body } = message;
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= MAX_PRIORITY)) {
    throw invalidMessage(message, 'priority', `an integer from 0 to ${MAX_PRIORITY}`, priority);
  }
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
    throw invalidMessage(message, 'body', 'a string or a Uint8Array', body);
  }
  return copyMessage(message, copyHeaders(message));
}

/** A copy for one subscriber, which may change the bytes. */
export function handOut(message: Message): Message {
  return copyMessage(message);
}

/** The same message with other headers. */
export function withHeaders(message: Message, headers: Record<string, string>): Message {
  return { ...message, headers: Object.freeze(headers) };
}

function copyHeaders(message: Message): Message['headers'] {
  const names = Object.keys(message.headers);
  if (names.length === 0) return NO_HEADERS;
  for (const name of names) {
    const value: unknown = message.headers[name];
    if (typeof value !== 'string')
      throw invalidMessage(message, `headers[${quote(name)}]`, 'a string', value);
  }
  return Object.freeze({ ...message.headers });
}

function invalidMessage(message: Message, property: string, expected: string, got: unknown): QueueError {
  return new QueueError(
    'INVALID_MESSAGE',
    `message ${message.id}: ${property}: expected ${expected}, got ${quote(got)}`,
  );
}
