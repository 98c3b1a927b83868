import type { Message } from '../broker.js';
import { QueueError } from '../errors.js';

/** 1 MiB: far below RabbitMQ's own limit (16 MiB since 4.0), above which the broker closes the channel. */
export const DEFAULT_MAX_MESSAGE_BYTES = 1024 * 1024;

/** Whether the body is over the limit, without counting the bytes of text that can't be. */
export function isTooLarge(body: Uint8Array | string, maxBytes: number): boolean {
  if (typeof body !== 'string') return body.byteLength > maxBytes;
  // A UTF-16 code unit makes one to three bytes of UTF-8.
  return body.length * 3 > maxBytes && (body.length > maxBytes || Buffer.byteLength(body) > maxBytes);
}

/** Throws `TOO_LARGE`. */
export function checkSize(message: Message, maxBytes: number): void {
  if (!isTooLarge(message.body, maxBytes)) return;
  const bytes = Buffer.byteLength(message.body);
  throw new QueueError(
    'TOO_LARGE',
    `message ${message.id} has ${bytes} bytes, the limit is ${maxBytes}: send a reference to the data, or raise maxMessageBytes in connect()`,
  );
}
