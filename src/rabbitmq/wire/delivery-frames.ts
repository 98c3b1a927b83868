/** How a delivery is encoded in AMQP 0-9-1: a method frame, a header frame, and the body in frames. */
import type { ReceivedMessage, ReceivedProperties } from './amqp-message.js';
import {
  APP_ID,
  asShortString,
  BASIC,
  BODY_FRAME,
  CLUSTER_ID,
  CONTENT_ENCODING,
  CONTENT_TYPE,
  CORRELATION_ID,
  DELIVER,
  DELIVERY_MODE,
  EXPIRATION,
  FRAME_END,
  FRAME_HEAD_BYTES,
  HEADER_FRAME,
  HEADERS,
  MESSAGE_ID,
  METHOD_FRAME,
  PRIORITY,
  REPLY_TO,
  TIMESTAMP,
  TYPE,
  USER_ID,
} from './frames.js';
import { HeaderTable, NO_HEADERS } from './header-table.js';
import { MalformedFrame } from './table-values.js';

const BASIC_DELIVER = (BASIC << 16) + DELIVER;

/** Flags of properties that do not exist. */
const UNKNOWN = 0x0003;

/** No RabbitMQ can be configured to take more. Only a broken peer announces such a body, and might never end it. */
const MAX_BODY_BYTES = 512 * 1024 * 1024;

const EMPTY: Buffer = Buffer.alloc(0);

/** The content of a delivery's header frame. */
export interface DeliveryHead {
  /** Bytes of the body. */
  readonly size: number;
  readonly properties: ReceivedProperties;
  readonly headers: HeaderTable;
}

/** Keeps the last text, for fields that repeat from message to message. */
class RepeatedText {
  #bytes = EMPTY;
  #text = '';

  read(bytes: Buffer, start: number, end: number): string {
    const last = this.#bytes;
    const length = end - start;
    let same = last.length === length;
    for (let i = 0; same && i < length; i++) same = last[i] === bytes[start + i];
    if (!same) {
      this.#text = asShortString(bytes.toString('utf8', start, end));
      this.#bytes = Buffer.from(bytes.subarray(start, end));
    }
    return this.#text;
  }
}

/**
 * Parses deliveries without an object for each frame and field. Throws {@link MalformedFrame} for a frame with a field
 * that runs over its end.
 */
export class DeliveryFrames {
  /** The end of the last delivery that was read. */
  end = 0;
  #bytes = EMPTY;
  #at = 0;
  /** The end of the current frame, without its last octet. */
  #limit = 0;
  readonly #consumerTag = new RepeatedText();
  readonly #exchange = new RepeatedText();
  readonly #routingKey = new RepeatedText();
  readonly #contentType = new RepeatedText();

  /** Whether a delivery starts here. */
  isDelivery(bytes: Buffer, at: number): boolean {
    return (
      bytes.length >= at + FRAME_HEAD_BYTES + 4 &&
      bytes[at] === METHOD_FRAME &&
      bytes.readUInt32BE(at + FRAME_HEAD_BYTES) === BASIC_DELIVER
    );
  }

  /** A delivery that starts here; undefined if it is incomplete, or its body is in several frames. */
  read(bytes: Buffer, at: number): ReceivedMessage | undefined {
    const channel = channelOf(bytes, at);
    const header = endOfFrame(bytes, at);
    if (header === 0) return undefined;
    const body = frameEnd(bytes, header, HEADER_FRAME, channel);
    if (body === 0) return undefined;
    const { size, properties, headers } = this.readHead(bytes, header, body);
    const end = size === 0 ? body : frameEnd(bytes, body, BODY_FRAME, channel);
    if (end === 0 || (size > 0 && end - body !== FRAME_HEAD_BYTES + size + 1)) return undefined;
    const fields = this.readFields(bytes, at, header);
    this.end = end;
    const content = size === 0 ? EMPTY : bytes.subarray(body + FRAME_HEAD_BYTES, end - 1);
    return { fields, properties, headers, content };
  }

  /** The fields of the method frame that ends at `end`. */
  readFields(bytes: Buffer, at: number, end: number): ReceivedMessage['fields'] {
    this.#begin(bytes, at + FRAME_HEAD_BYTES + 4, end);
    const consumerTag = this.#shortString(this.#consumerTag);
    const deliveryTag = longLong(bytes, this.#skip(8));
    const redelivered = (this.#octet() & 1) === 1;
    const exchange = this.#shortString(this.#exchange);
    const routingKey = this.#shortString(this.#routingKey);
    this.#bytes = EMPTY;
    return { consumerTag, deliveryTag, redelivered, exchange, routingKey };
  }

  /** AMQP 0-9-1, 4.2.6.1. */
  readHead(bytes: Buffer, at: number, end: number): DeliveryHead {
    this.#begin(bytes, at + FRAME_HEAD_BYTES, end);
    if (bytes.readUInt16BE(this.#skip(4)) !== BASIC) throw new MalformedFrame('a header of another class');
    const size = longLong(bytes, this.#skip(8));
    if (size > MAX_BODY_BYTES) throw new MalformedFrame(`a body of ${size} bytes, which no RabbitMQ accepts`);
    const flags = bytes.readUInt16BE(this.#skip(2));
    if ((flags & UNKNOWN) !== 0) throw new MalformedFrame('a header with properties that do not exist');
    const contentType = flags & CONTENT_TYPE ? this.#shortString(this.#contentType) : undefined;
    const contentEncoding = flags & CONTENT_ENCODING ? this.#shortString() : undefined;
    const headers = flags & HEADERS ? this.#table() : NO_HEADERS;
    const properties = {
      contentType,
      contentEncoding,
      deliveryMode: flags & DELIVERY_MODE ? this.#octet() : undefined,
      priority: flags & PRIORITY ? this.#octet() : undefined,
      correlationId: flags & CORRELATION_ID ? this.#shortString() : undefined,
      replyTo: flags & REPLY_TO ? this.#shortString() : undefined,
      expiration: flags & EXPIRATION ? this.#shortString() : undefined,
      messageId: flags & MESSAGE_ID ? this.#shortString() : undefined,
      timestamp: flags & TIMESTAMP ? this.#timestamp() : undefined,
      type: flags & TYPE ? this.#shortString() : undefined,
      userId: flags & USER_ID ? this.#shortString() : undefined,
      appId: flags & APP_ID ? this.#shortString() : undefined,
    };
    if (flags & CLUSTER_ID) this.#shortString();
    this.#bytes = EMPTY;
    return { size, properties, headers };
  }

  #begin(bytes: Buffer, at: number, end: number): void {
    this.#bytes = bytes;
    this.#at = at;
    this.#limit = end - 1;
  }

  /** Advances, and returns the previous position. */
  #skip(count: number): number {
    const at = this.#at;
    this.#at = at + count;
    if (this.#at > this.#limit) throw new MalformedFrame('a field runs over the end of its frame');
    return at;
  }

  #octet(): number {
    return this.#bytes[this.#skip(1)] as number;
  }

  #timestamp(): number | bigint {
    const at = this.#skip(8);
    const seconds = longLong(this.#bytes, at);
    return Number.isSafeInteger(seconds) ? seconds : this.#bytes.readBigUInt64BE(at);
  }

  #shortString(repeated?: RepeatedText): string {
    const length = this.#octet();
    const start = this.#skip(length);
    if (repeated !== undefined) return repeated.read(this.#bytes, start, start + length);
    return asShortString(this.#bytes.toString('utf8', start, start + length));
  }

  #table(): HeaderTable {
    const length = this.#bytes.readUInt32BE(this.#skip(4));
    const start = this.#skip(length);
    return length === 0 ? NO_HEADERS : new HeaderTable(this.#bytes, start, start + length);
  }
}

export function channelOf(bytes: Buffer, at: number): number {
  return ((bytes[at + 1] as number) << 8) + (bytes[at + 2] as number);
}

/** The end of the frame that starts here; 0 if it is incomplete, or has no end octet, which amqplib reports. */
export function endOfFrame(bytes: Buffer, at: number): number {
  if (bytes.length < at + FRAME_HEAD_BYTES) return 0;
  const end = at + FRAME_HEAD_BYTES + bytes.readUInt32BE(at + 3) + 1;
  return bytes[end - 1] === FRAME_END ? end : 0;
}

/** As `endOfFrame`, and 0 for a frame of another type or channel. */
function frameEnd(bytes: Buffer, at: number, type: number, channel: number): number {
  if (bytes.length < at + FRAME_HEAD_BYTES || bytes[at] !== type || channelOf(bytes, at) !== channel)
    return 0;
  return endOfFrame(bytes, at);
}

/** As far as numbers are exact. */
function longLong(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}
