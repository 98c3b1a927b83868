/** The numbers of AMQP 0-9-1 frames, and how they are written: https://www.rabbitmq.com/amqp-0-9-1-reference */

/** 4.2.3: a frame's type, channel and size come before its payload. */
export const FRAME_HEAD_BYTES = 7;
/** 4.2.3: the last octet of a frame. */
export const FRAME_END = 0xce;
/** A short string has one byte for its length. */
export const MAX_SHORT_STRING_BYTES = 255;

/**
 * A text that was read from a short string, cut to the length of one. Each byte that is not UTF-8 becomes three when it
 * is written again, and the broker closes the connection over a frame that is longer than it states.
 */
export function asShortString(text: string): string {
  // A UTF-16 code unit makes at most three bytes.
  if (text.length * 3 <= MAX_SHORT_STRING_BYTES || Buffer.byteLength(text) <= MAX_SHORT_STRING_BYTES)
    return text;
  // A character cut in the middle becomes three bytes as well.
  return Buffer.from(text)
    .subarray(0, MAX_SHORT_STRING_BYTES - 3)
    .toString();
}

/** The head of a frame and its end. */
export const FRAME_OVERHEAD_BYTES = FRAME_HEAD_BYTES + 1;

export const METHOD_FRAME = 1;
export const HEADER_FRAME = 2;
export const BODY_FRAME = 3;

/** 1.8: the class `basic` and some of its methods. */
export const BASIC = 60;
export const PUBLISH = 40;
export const DELIVER = 60;

/** 4.2.6.1: which properties a header has, the first one with the highest bit. */
export const CONTENT_TYPE = 1 << 15;
export const CONTENT_ENCODING = 1 << 14;
export const HEADERS = 1 << 13;
export const DELIVERY_MODE = 1 << 12;
export const PRIORITY = 1 << 11;
export const CORRELATION_ID = 1 << 10;
export const REPLY_TO = 1 << 9;
export const EXPIRATION = 1 << 8;
export const MESSAGE_ID = 1 << 7;
export const TIMESTAMP = 1 << 6;
export const TYPE = 1 << 5;
export const USER_ID = 1 << 4;
export const APP_ID = 1 << 3;
export const CLUSTER_ID = 1 << 2;

/** Writes AMQP 0-9-1 frames field by field. It checks nothing: its caller has found the room. */
export class FrameWriter {
  offset: number;
  readonly #buffer: Buffer;
  readonly #channel: number;

  constructor(buffer: Buffer, offset: number, channel: number) {
    this.#buffer = buffer;
    this.offset = offset;
    this.#channel = channel;
  }

  /** Returns where the frame starts, for {@link endFrame}. */
  beginFrame(type: number): number {
    const begin = this.offset;
    this.octet(type);
    this.short(this.#channel);
    this.offset += 4;
    return begin;
  }

  endFrame(begin: number): void {
    // The size covers the part between the head of the frame and its end.
    this.longAt(begin + 3, this.offset - begin - FRAME_HEAD_BYTES);
    this.octet(FRAME_END);
  }

  octet(value: number): void {
    this.#buffer[this.offset++] = value;
  }

  short(value: number): void {
    this.#buffer[this.offset++] = value >>> 8;
    this.#buffer[this.offset++] = value;
  }

  long(value: number): void {
    this.longAt(this.offset, value);
    this.offset += 4;
  }

  longAt(offset: number, value: number): void {
    this.#buffer[offset] = value >>> 24;
    this.#buffer[offset + 1] = value >>> 16;
    this.#buffer[offset + 2] = value >>> 8;
    this.#buffer[offset + 3] = value;
  }

  /** Numbers are exact up to 2^53; bigints up to 2^64. */
  longLong(value: number | bigint): void {
    if (typeof value === 'bigint') {
      this.#buffer.writeBigUInt64BE(value, this.offset);
      this.offset += 8;
      return;
    }
    this.long(Math.floor(value / 2 ** 32));
    this.long(value >>> 0);
  }

  /** At most 255 bytes of UTF-8. */
  shortString(text: string): void {
    const length = text === '' ? 0 : this.#buffer.write(text, this.offset + 1);
    this.#buffer[this.offset] = length;
    this.offset += 1 + length;
  }

  longString(text: string): void {
    const begin = this.offset;
    this.offset += 4;
    this.longAt(begin, this.text(text));
  }

  /** Returns how many bytes it has. */
  text(text: string): number {
    const length = text === '' ? 0 : this.#buffer.write(text, this.offset);
    this.offset += length;
    return length;
  }

  bytes(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.offset);
    this.offset += bytes.length;
  }
}
