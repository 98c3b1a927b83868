/** How a message is published over AMQP 0-9-1: a method frame, a header frame, and the body in frames. Pure. */

import type { WireMessage } from './amqp-message.js';
import {
  BASIC,
  BODY_FRAME,
  CONTENT_TYPE,
  CORRELATION_ID,
  DELIVERY_MODE,
  FRAME_OVERHEAD_BYTES,
  HEADER_FRAME,
  HEADERS,
  MESSAGE_ID,
  METHOD_FRAME,
  PRIORITY,
  PUBLISH,
  REPLY_TO,
  TIMESTAMP,
} from './frame-layout.js';
import { FrameWriter } from './frame-writer.js';

/** A bit of the method `publish`. */
const MANDATORY = 1;

const PERSISTENT = 2;

/** What a message takes besides its texts, its headers and its body is less. */
const FIXED_BYTES = 128;

/** A UTF-16 code unit makes at most so many bytes of UTF-8. */
const BYTES_A_UNIT = 3;

/** Texts up to here are not measured: reserving more than they take costs less. */
const SHORT_TEXT_UNITS = 1024;

/** AMQP 0-9-1, 4.2.5.3: its length is one octet. */
const MAX_SHORT_STRING_BYTES = 255;

/** So much of headers is written here; amqplib has a limit near it, and says so. */
const MAX_HEADER_BYTES = 32_768;

/**
 * How many bytes the frames of a message take at most; undefined where they are not for this module to write: with
 * properties or types of headers that only messages from elsewhere have, or with headers of an unusual size.
 */
export function roomForPublish(message: WireMessage, frameMax: number): number | undefined {
  const { exchange, routingKey, id, content, options } = message;
  const { contentType = '', correlationId = '', replyTo = '', timestamp = 0 } = options;
  if (options.contentEncoding !== undefined || options.type !== undefined || options.appId !== undefined) {
    return undefined;
  }
  const headerBytes = roomForHeaders(options.headers);
  if (headerBytes === undefined || !Number.isSafeInteger(timestamp)) return undefined;
  const fixedBytes = FIXED_BYTES + headerBytes;
  const contentBytes = roomForContent(content);
  const bodyFrames = Math.ceil(contentBytes / (frameMax - FRAME_OVERHEAD_BYTES));
  const units =
    exchange.length +
    routingKey.length +
    id.length +
    contentType.length +
    correlationId.length +
    replyTo.length;
  const mostBytes = fixedBytes + units * BYTES_A_UNIT;
  if (mostBytes > frameMax && headerFrameBytes(message) > frameMax) return undefined;
  return mostBytes + contentBytes + bodyFrames * FRAME_OVERHEAD_BYTES;
}

/** What a header frame takes besides the texts and the table: 8 around it, 14 before the properties, 10 of fixed size. */
const HEADER_FRAME_BYTES = 32;

/**
 * Throws where the properties of a message do not fit into one frame, which can't be divided: the broker would close the
 * whole connection. Exact for headers of text; for other types it may be too strict.
 */
export function checkHeaderFrame(message: WireMessage, frameMax: number): void {
  const bytes = headerFrameBytes(message);
  if (bytes <= frameMax) return;
  throw new RangeError(
    `headers and properties have ${bytes} bytes, and a frame of this connection carries ${frameMax} (frame_max): send less of them, or raise frame_max`,
  );
}

function headerFrameBytes({ id, options }: WireMessage): number {
  const { contentType, contentEncoding, correlationId, replyTo, type, appId, headers = {} } = options;
  let bytes = HEADER_FRAME_BYTES + 4;
  for (const text of [id, contentType, contentEncoding, correlationId, replyTo, type, appId]) {
    if (typeof text === 'string') bytes += 1 + Buffer.byteLength(text);
  }
  for (const [name, value] of Object.entries<unknown>(headers)) {
    bytes += 6 + Buffer.byteLength(name) + mostBytesOf(value);
  }
  return bytes;
}

/** An upper bound where the value is no text. */
function mostBytesOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Buffer.isBuffer(value)) return value.length;
  // The longest numbers for their text take four bytes a character.
  return typeof value === 'object' && value !== null ? Buffer.byteLength(JSON.stringify(value)) * 4 : 9;
}

/** Writes the frames, for which {@link roomForPublish} has found room, and returns where they end. */
export function writePublish(
  into: Buffer,
  at: number,
  message: WireMessage,
  { channel, frameMax }: { readonly channel: number; readonly frameMax: number },
): number {
  const writer = new FrameWriter(into, at, channel);
  writeMethod(writer, message);
  const sizeAt = writeHeader(writer, message);
  const size = writeBody(writer, message.content, frameMax - FRAME_OVERHEAD_BYTES);
  // The upper half stays 0: there are no bodies of 4 GiB.
  writer.longAt(sizeAt + 4, size);
  return writer.offset;
}

function writeMethod(writer: FrameWriter, { exchange, routingKey, options }: WireMessage): void {
  const begin = writer.beginFrame(METHOD_FRAME);
  writer.short(BASIC);
  writer.short(PUBLISH);
  writer.short(0); // reserved
  writer.shortString(exchange);
  writer.shortString(routingKey);
  writer.octet(options.mandatory === false ? 0 : MANDATORY);
  writer.endFrame(begin);
}

/** AMQP 0-9-1, 4.2.6.1. Returns where the size of the body belongs. */
function writeHeader(writer: FrameWriter, { id, options }: WireMessage): number {
  const { contentType, headers, priority, correlationId, replyTo, timestamp } = options;
  const begin = writer.beginFrame(HEADER_FRAME);
  writer.short(BASIC);
  writer.short(0); // weight, unused
  const sizeAt = writer.offset;
  writer.longLong(0);
  let flags = HEADERS | DELIVERY_MODE | MESSAGE_ID;
  if (contentType !== undefined) flags |= CONTENT_TYPE;
  if (priority !== undefined) flags |= PRIORITY;
  if (correlationId !== undefined) flags |= CORRELATION_ID;
  if (replyTo !== undefined) flags |= REPLY_TO;
  if (timestamp !== undefined) flags |= TIMESTAMP;
  writer.short(flags);
  if (contentType !== undefined) writer.shortString(contentType);
  writeTable(writer, headers);
  writer.octet(PERSISTENT);
  if (priority !== undefined) writer.octet(priority);
  if (correlationId !== undefined) writer.shortString(correlationId);
  if (replyTo !== undefined) writer.shortString(replyTo);
  writer.shortString(id);
  if (timestamp !== undefined) writer.longLong(timestamp);
  writer.endFrame(begin);
  return sizeAt;
}

/** AMQP 0-9-1, 4.2.5.5, with the tags of https://www.rabbitmq.com/amqp-0-9-1-errata#section_3. */
function writeTable(writer: FrameWriter, headers: Readonly<Record<string, string>>): void {
  const begin = writer.offset;
  writer.long(0);
  for (const name in headers) {
    writer.shortString(name);
    writer.octet(0x53); // 'S', a long string
    writer.longString(headers[name] as string);
  }
  writer.longAt(begin, writer.offset - begin - 4);
}

/** Returns how many bytes it has; none makes no frame. */
function writeBody(writer: FrameWriter, content: Buffer | string, maxBytes: number): number {
  if (content.length === 0) return 0;
  if (typeof content === 'string') {
    if (content.length * BYTES_A_UNIT > maxBytes) return writeBody(writer, Buffer.from(content), maxBytes);
    const begin = writer.beginFrame(BODY_FRAME);
    const size = writer.text(content);
    writer.endFrame(begin);
    return size;
  }
  for (let offset = 0; offset < content.length; offset += maxBytes) {
    const begin = writer.beginFrame(BODY_FRAME);
    writer.bytes(content.length <= maxBytes ? content : content.subarray(offset, offset + maxBytes));
    writer.endFrame(begin);
  }
  return content.length;
}

function roomForContent(content: Buffer | string): number {
  if (typeof content !== 'string') return content.length;
  return content.length <= SHORT_TEXT_UNITS ? content.length * BYTES_A_UNIT : Buffer.byteLength(content);
}

/** Undefined where a name or a value is not what {@link writeTable} can write. */
function roomForHeaders(headers: Readonly<Record<string, unknown>>): number | undefined {
  let bytes = 0;
  for (const name in headers) {
    const value = headers[name];
    if (typeof value !== 'string' || Buffer.byteLength(name) > MAX_SHORT_STRING_BYTES) return undefined;
    bytes += 6 + (name.length + value.length) * BYTES_A_UNIT;
  }
  return bytes <= MAX_HEADER_BYTES ? bytes : undefined;
}
