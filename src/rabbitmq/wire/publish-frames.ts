/** How a message is published over AMQP 0-9-1: a method frame, a header frame, and the body in frames. Pure. */

import type { WireMessage } from './amqp-message.js';
import {
  APP_ID,
  BASIC,
  BODY_FRAME,
  CONTENT_ENCODING,
  CONTENT_TYPE,
  CORRELATION_ID,
  DELIVERY_MODE,
  FRAME_OVERHEAD_BYTES,
  FrameWriter,
  HEADER_FRAME,
  HEADERS,
  MESSAGE_ID,
  METHOD_FRAME,
  PRIORITY,
  PUBLISH,
  REPLY_TO,
  TIMESTAMP,
  TYPE,
} from './frames.js';

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

/** What a table of headers may take: amqplib has this limit as well. */
const MAX_TABLE_BYTES = 65_536;

/** What a header frame takes besides the texts and the table: 8 around it, 14 before the properties, 10 of fixed size. */
const HEADER_FRAME_BYTES = 32;

/**
 * How many bytes the frames of a message take at most. Throws a `RangeError` for what can't be written: a text that is
 * too long, or properties that do not fit into one frame, which can't be divided: the broker would close the whole
 * connection.
 */
export function roomForPublish(message: WireMessage, frameMax: number): number {
  const { exchange, routingKey, id, content, options } = message;
  const {
    contentType = '',
    contentEncoding = '',
    correlationId = '',
    replyTo = '',
    type = '',
    appId = '',
  } = options;
  const units =
    exchange.length +
    routingKey.length +
    id.length +
    contentType.length +
    contentEncoding.length +
    correlationId.length +
    replyTo.length +
    type.length +
    appId.length;
  const headBytes = FIXED_BYTES + roomForHeaders(message) + units * BYTES_A_UNIT;
  if (headBytes > frameMax || headBytes > MAX_TABLE_BYTES) checkHeaderFrame(message, frameMax);
  const contentBytes = roomForContent(content);
  const bodyFrames = Math.ceil(contentBytes / (frameMax - FRAME_OVERHEAD_BYTES));
  return headBytes + contentBytes + bodyFrames * FRAME_OVERHEAD_BYTES;
}

function checkHeaderFrame(message: WireMessage, frameMax: number): void {
  const { id, options } = message;
  const { contentType, contentEncoding, correlationId, replyTo, type, appId } = options;
  const tableBytes = 4 + bytesOfHeaders(message);
  if (tableBytes > MAX_TABLE_BYTES)
    throw new RangeError(
      `headers have ${tableBytes} bytes, and a message carries ${MAX_TABLE_BYTES}: send less of them`,
    );
  let bytes = HEADER_FRAME_BYTES + tableBytes;
  for (const text of [id, contentType, contentEncoding, correlationId, replyTo, type, appId]) {
    if (text !== undefined) bytes += 1 + Buffer.byteLength(text);
  }
  if (bytes <= frameMax) return;
  throw new RangeError(
    `headers and properties have ${bytes} bytes, and a frame of this connection carries ${frameMax} (frame_max): send less of them, or raise frame_max`,
  );
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
function writeHeader(writer: FrameWriter, { id, options, carried }: WireMessage): number {
  const { contentType, contentEncoding, headers, priority, correlationId, replyTo, timestamp, type, appId } =
    options;
  const begin = writer.beginFrame(HEADER_FRAME);
  writer.short(BASIC);
  writer.short(0); // weight, unused
  const sizeAt = writer.offset;
  writer.longLong(0);
  let flags = HEADERS | DELIVERY_MODE | MESSAGE_ID;
  if (contentType !== undefined) flags |= CONTENT_TYPE;
  if (contentEncoding !== undefined) flags |= CONTENT_ENCODING;
  if (priority !== undefined) flags |= PRIORITY;
  if (correlationId !== undefined) flags |= CORRELATION_ID;
  if (replyTo !== undefined) flags |= REPLY_TO;
  if (timestamp !== undefined) flags |= TIMESTAMP;
  if (type !== undefined) flags |= TYPE;
  if (appId !== undefined) flags |= APP_ID;
  writer.short(flags);
  if (contentType !== undefined) writer.shortString(contentType);
  if (contentEncoding !== undefined) writer.shortString(contentEncoding);
  writeTable(writer, headers, carried);
  writer.octet(PERSISTENT);
  if (priority !== undefined) writer.octet(priority);
  if (correlationId !== undefined) writer.shortString(correlationId);
  if (replyTo !== undefined) writer.shortString(replyTo);
  writer.shortString(id);
  if (timestamp !== undefined) writer.longLong(timestamp);
  if (type !== undefined) writer.shortString(type);
  if (appId !== undefined) writer.shortString(appId);
  writer.endFrame(begin);
  return sizeAt;
}

/** AMQP 0-9-1, 4.2.5.5, with the tags of https://www.rabbitmq.com/amqp-0-9-1-errata#section_3. */
function writeTable(
  writer: FrameWriter,
  headers: Readonly<Record<string, string>>,
  carried: WireMessage['carried'],
): void {
  const begin = writer.offset;
  writer.long(0);
  if (carried !== undefined) for (const { bytes } of carried) writer.bytes(bytes);
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

/** An upper bound that is found without measuring texts. */
function roomForHeaders({ options: { headers }, carried }: WireMessage): number {
  let bytes = carriedBytes(carried);
  for (const name in headers) {
    if (
      name.length * BYTES_A_UNIT > MAX_SHORT_STRING_BYTES &&
      Buffer.byteLength(name) > MAX_SHORT_STRING_BYTES
    )
      throw nameTooLong(Buffer.byteLength(name));
    bytes += 6 + (name.length + (headers[name] as string).length) * BYTES_A_UNIT;
  }
  return bytes;
}

function bytesOfHeaders({ options: { headers }, carried }: WireMessage): number {
  let bytes = carriedBytes(carried);
  for (const name in headers) {
    bytes += 6 + Buffer.byteLength(name) + Buffer.byteLength(headers[name] as string);
  }
  return bytes;
}

function carriedBytes(carried: WireMessage['carried']): number {
  let bytes = 0;
  if (carried !== undefined) for (const field of carried) bytes += field.bytes.length;
  return bytes;
}

function nameTooLong(bytes: number): RangeError {
  return new RangeError(`the name of a header has ${bytes} bytes, AMQP carries ${MAX_SHORT_STRING_BYTES}`);
}
