/** How a message is published over AMQP 0-9-1: a method frame, a header frame, and the body in frames. */
import type { WireMessage } from './amqp-message.js';
import {
  APP_ID,
  BASIC,
  BODY_FRAME,
  CONTENT_ENCODING,
  CONTENT_TYPE,
  CORRELATION_ID,
  DELIVERY_MODE,
  EXPIRATION,
  FRAME_OVERHEAD_BYTES,
  FrameWriter,
  HEADER_FRAME,
  HEADERS,
  MAX_SHORT_STRING_BYTES,
  MESSAGE_ID,
  METHOD_FRAME,
  PRIORITY,
  PUBLISH,
  REPLY_TO,
  TIMESTAMP,
  TYPE,
  USER_ID,
} from './frames.js';

/** A bit of the method `publish`. */
const MANDATORY = 1;

/** Delivery modes. */
const TRANSIENT = 1;
const PERSISTENT = 2;

/** An upper bound for the size of a message without its texts, headers and body. */
const FIXED_BYTES = 128;

/** The most bytes of UTF-8 that one UTF-16 code unit takes. */
const BYTES_A_UNIT = 3;

/** Shorter texts are not measured: reserving more than they take costs less. */
const SHORT_TEXT_UNITS = 1024;

/** The maximum size of a header table: amqplib has this limit as well. */
const MAX_TABLE_BYTES = 65_536;

/**
 * The size of a header frame without the texts and the table: 8 around it, 14 before the properties, 21 of fixed size.
 */
const HEADER_FRAME_BYTES = 43;

/** RabbitMQ refuses a longer expiration. Milliseconds. */
const MAX_EXPIRATION_MS = 2 ** 32 - 1;

/**
 * How many bytes the frames of a message take at most. Throws a `RangeError` for a text that is too long, and for
 * properties that exceed one frame: they can't be split, and the broker would close the whole connection.
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
    userId = '',
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
    appId.length +
    userId.length;
  const headBytes = FIXED_BYTES + roomForHeaders(message) + units * BYTES_A_UNIT;
  if (headBytes > frameMax || headBytes > MAX_TABLE_BYTES) checkHeaderFrame(message, frameMax);
  const contentBytes = roomForContent(content);
  const bodyFrames = Math.ceil(contentBytes / (frameMax - FRAME_OVERHEAD_BYTES));
  return headBytes + contentBytes + bodyFrames * FRAME_OVERHEAD_BYTES;
}

function checkHeaderFrame(message: WireMessage, frameMax: number): void {
  const { id, options } = message;
  const { contentType, contentEncoding, correlationId, replyTo, type, appId, userId } = options;
  const tableBytes = 4 + bytesOfHeaders(message);
  if (tableBytes > MAX_TABLE_BYTES)
    throw new RangeError(
      `headers take ${tableBytes} bytes; the limit is ${MAX_TABLE_BYTES}: send fewer or smaller headers`,
    );
  let bytes = HEADER_FRAME_BYTES + tableBytes;
  for (const text of [id, contentType, contentEncoding, correlationId, replyTo, type, appId, userId]) {
    if (text !== undefined) bytes += 1 + Buffer.byteLength(text);
  }
  if (bytes <= frameMax) return;
  throw new RangeError(
    `headers and properties take ${bytes} bytes; the limit of this connection is ${frameMax} (frame_max): send fewer or smaller headers, or raise frame_max`,
  );
}

/** Writes the frames into the room that {@link roomForPublish} computed, and returns where they end. */
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

/** The time that is left, as AMQP has it; undefined: without limit, or longer than RabbitMQ counts. */
export function expirationOf(expiresAt: number | undefined): string | undefined {
  if (expiresAt === undefined) return undefined;
  const leftMs = Math.max(0, Math.ceil(expiresAt - Date.now()));
  return leftMs <= MAX_EXPIRATION_MS ? String(leftMs) : undefined;
}

/** AMQP 0-9-1, 4.2.6.1. Returns where the size of the body belongs. */
function writeHeader(writer: FrameWriter, { id, options, carried }: WireMessage): number {
  const { contentType, contentEncoding, headers, priority, correlationId, replyTo } = options;
  const { timestamp, type, appId, userId } = options;
  const expiration = expirationOf(options.expiresAt);
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
  if (expiration !== undefined) flags |= EXPIRATION;
  if (timestamp !== undefined) flags |= TIMESTAMP;
  if (type !== undefined) flags |= TYPE;
  if (userId !== undefined) flags |= USER_ID;
  if (appId !== undefined) flags |= APP_ID;
  writer.short(flags);
  if (contentType !== undefined) writer.shortString(contentType);
  if (contentEncoding !== undefined) writer.shortString(contentEncoding);
  writeTable(writer, headers, carried);
  writer.octet(options.persistent ? PERSISTENT : TRANSIENT);
  if (priority !== undefined) writer.octet(priority);
  if (correlationId !== undefined) writer.shortString(correlationId);
  if (replyTo !== undefined) writer.shortString(replyTo);
  if (expiration !== undefined) writer.shortString(expiration);
  writer.shortString(id);
  if (timestamp !== undefined) writer.longLong(timestamp);
  if (type !== undefined) writer.shortString(type);
  if (userId !== undefined) writer.shortString(userId);
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

/** Returns the size of the body. An empty body has no frame. */
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
