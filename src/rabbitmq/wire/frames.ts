/** The numbers of AMQP 0-9-1 frames: https://www.rabbitmq.com/amqp-0-9-1-reference */

/** 4.2.3: a frame's type, channel and size come before its payload. */
export const FRAME_HEAD_BYTES = 7;
/** 4.2.3: the last octet of a frame. */
export const FRAME_END = 0xce;
/** A short string has one byte for its length. */
export const MAX_SHORT_STRING_BYTES = 255;

/**
 * A text that was read from a short string, cut to what one carries. Bytes that are no UTF-8 become three for each when
 * they are written again, and the broker closes the connection over a frame that has more of them than it says.
 */
export function asShortString(text: string): string {
  // A UTF-16 code unit makes at most three bytes.
  if (text.length * 3 <= MAX_SHORT_STRING_BYTES || Buffer.byteLength(text) <= MAX_SHORT_STRING_BYTES)
    return text;
  // What is cut in the middle becomes three bytes as well.
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
