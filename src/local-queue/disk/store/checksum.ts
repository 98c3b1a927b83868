/**
 * The checksum of a stored message: of what its sender gave, and of the queue that it belongs to, so that bits that change
 * on the disk reach no handler. It does not cover where the message is in its queue and how often it was tried.
 *
 * It is made of three parts, joined by exclusive or: one of what never changes, one of the headers and one of the place.
 * So it can be adapted to other headers or another queue without the body, and without making a damaged message good.
 */
import { crc32 } from 'node:zlib';
import type { MessageColumns } from './message-table.js';
import type { SqliteValue } from './sqlite.js';

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
