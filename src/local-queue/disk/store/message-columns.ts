/** What a message has in its table besides its place in a queue: the columns of what its sender gave, and their checksum. */
import { crc32 } from 'node:zlib';
import type { Row, SqliteValue } from './sqlite.js';

/** A message as its sender made it, in the order of the table's columns: all from `message_id` on. */
export type MessageColumns = readonly [
  messageId: SqliteValue,
  contentType: SqliteValue,
  headers: string | null,
  properties: string | null,
  timestamp: number | null,
  priority: number | null,
  expires: number | null,
  bodyIsText: 1 | null,
  body: string | Uint8Array,
];

/** Their names. */
export const COLUMNS =
  'message_id, content_type, headers, properties, timestamp, priority, expires, body_is_text, body';

/** The values of a row, which may have any types where it is damaged. */
export function columnsOf(values: Row): MessageColumns {
  const [messageId, contentType, headers, properties, timestamp, priority, expires, bodyIsText, body] =
    values;
  return [
    textOrBytes(messageId),
    textOrBytes(contentType),
    textOrNull(headers),
    textOrNull(properties),
    numberOrNull(timestamp),
    numberOrNull(priority),
    numberOrNull(expires),
    bodyIsText === 1 ? 1 : null,
    textOrBytes(body),
  ];
}

function textOrBytes(value: Row[number]): string | Uint8Array {
  return typeof value === 'string' || value instanceof Uint8Array ? value : String(value);
}

function textOrNull(value: Row[number]): string | null {
  return typeof value === 'string' ? value : null;
}

function numberOrNull(value: Row[number]): number | null {
  return typeof value === 'number' ? value : null;
}

/**
 * The checksum of a stored message: of what its sender gave, and of the queue that it belongs to, so that bits that change
 * on the disk reach no handler. It does not cover where the message is in its queue and how often it was tried.
 *
 * It is made of three parts, joined by exclusive or: one of what never changes, one of the headers and one of the place.
 * So it can be adapted to other headers or another queue without the body, and without making a damaged message good.
 */
export function checksumOf(queue: number, columns: MessageColumns): number {
  const [id, contentType, headers, properties, timestamp, priority, expires, bodyIsText, body] = columns;
  const kind = typeof body === 'string' ? 'text' : 'bytes';
  let head = `${textOf(id)}\n${textOf(contentType)}\n${timestamp}\n${kind}\n`;
  if (properties !== null || priority !== null || bodyIsText !== null)
    head += `${properties}\n${priority}\n${bodyIsText}\n`;
  const fixed = typeof body === 'string' ? crc32(head + body) : crc32(body, crc32(head));
  return (fixed ^ textChecksum(headers) ^ placeChecksum(queue, expires)) >>> 0;
}

/** A text with NUL in it is stored as bytes. */
function textOf(value: SqliteValue): SqliteValue {
  return value instanceof Uint8Array ? Buffer.from(value).toString() : value;
}

/** The part of the headers. */
export function textChecksum(headers: string | null): number {
  return headers === null ? 0 : crc32(headers);
}

/** The part of the queue, and of the time at which the message expires. */
export function placeChecksum(queue: number, expires: unknown): number {
  // Neighbors differ in many bits.
  if (expires === null) return Math.imul(queue, 0x9e3779b1);
  return crc32(`${queue} ${expires}`);
}
