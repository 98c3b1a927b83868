import { isUtf8 } from 'node:buffer';
import { showHeaders } from '../common/message/headers.js';
import type { HandlerContext } from '../consumer/consumer.js';

/** The JSON that `work` and `tail` print for a message. */
export function messageRecord(body: Uint8Array, context: HandlerContext): object {
  const { id, queue, exchange, routingKey, attempt, redelivered } = context;
  const { headers, timestamp, type, appId, userId, expiresAt, correlationId, replyTo } = context;
  // On the default exchange the routing key is the queue.
  const origin = exchange === '' ? {} : { exchange, routingKey };
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const content = isUtf8(bytes) ? { body: bytes.toString('utf8') } : { bodyBase64: bytes.toString('base64') };
  return {
    id,
    queue,
    ...origin,
    attempt,
    redelivered,
    headers: showHeaders(headers),
    timestamp,
    type,
    appId,
    userId,
    expiresAt,
    correlationId,
    replyTo,
    ...content,
  };
}
