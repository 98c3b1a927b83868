/** What no backend takes, so that a message means the same wherever it is sent. */
import { MAX_PRIORITY, type Message } from '../broker.js';
import { QueueError } from '../errors.js';
import type { HeaderFault } from './headers.js';
import { quote } from './options.js';

/** AMQP 0-9-1 carries these texts as short strings. */
const MAX_SHORT_STRING_BYTES = 255;

/** Checks everything but what is in the headers. Throws `INVALID_MESSAGE`. */
export function checkMessage(message: Message): void {
  const { body, priority, timestamp, expiresAt, dueAt } = message;
  checkShortString(message, 'id', message.id);
  checkShortString(message, 'contentType', message.contentType);
  checkShortString(message, 'contentEncoding', message.contentEncoding);
  checkShortString(message, 'correlationId', message.correlationId);
  checkShortString(message, 'replyTo', message.replyTo);
  checkShortString(message, 'type', message.type);
  checkShortString(message, 'appId', message.appId);
  checkShortString(message, 'userId', message.userId);
  const fault = faultOf(message);
  if (typeof body !== 'string' && !(body instanceof Uint8Array))
    throw fault('body', 'a string or a Uint8Array', body);
  if (typeof message.headers !== 'object' || message.headers === null)
    throw fault('headers', 'an object', message.headers);
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= MAX_PRIORITY))
    throw fault('priority', `an integer from 0 to ${MAX_PRIORITY}`, priority);
  if (timestamp !== undefined && !(timestamp >= 0 && timestamp <= Number.MAX_SAFE_INTEGER))
    throw fault('timestamp', 'milliseconds since 1970', timestamp);
  if (expiresAt !== undefined && !(Number.isSafeInteger(expiresAt) && expiresAt >= 0))
    throw fault('expiresAt', 'milliseconds since 1970', expiresAt);
  if (dueAt !== undefined && !Number.isSafeInteger(dueAt))
    throw fault('dueAt', 'milliseconds since 1970', dueAt);
}

/** Throws `INVALID_MESSAGE`. */
export function checkShortString(message: Message, what: string, value: string | undefined): void {
  if (value === undefined) return;
  if (typeof value !== 'string') throw faultOf(message)(what, 'a string', value);
  // A UTF-16 code unit makes at most three bytes.
  if (value.length * 3 <= MAX_SHORT_STRING_BYTES) return;
  const bytes = Buffer.byteLength(value);
  if (bytes <= MAX_SHORT_STRING_BYTES) return;
  throw invalidMessage(
    message,
    `its ${what} has ${bytes} bytes, AMQP carries ${MAX_SHORT_STRING_BYTES}: ${quote(value)}`,
  );
}

/** What makes an error of something that is wrong with the message. */
export function faultOf(message: Message): HeaderFault {
  return (where, expected, got) =>
    invalidMessage(message, `its ${where} must be ${expected}, not ${quote(got)}`);
}

export function invalidMessage(message: Message, why: string): QueueError {
  return new QueueError('INVALID_MESSAGE', `message ${quote(message.id)} can't be sent: ${why}`);
}
