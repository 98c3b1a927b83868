import { MAX_PRIORITY, type MessageHeaders } from '../broker.js';
import { compress, compressionOption } from '../common/encoding/compression.js';
import type { Compression } from '../common/encoding/content-encoding.js';
import { checkBodySize } from '../common/message/create-and-check.js';
import { copyHeaders, headersBytes, isWellFormed, MAX_HEADERS_BYTES } from '../common/message/headers.js';
import { RESERVED_HEADER_PREFIX } from '../common/message/retry-headers.js';
import { booleanOption, integerOption, invalidOption, quote } from '../common/options.js';
import { QueueError } from '../errors.js';
import type { EncodedValue, Queue } from '../queue.js';

/** The properties of a message that a sender can set. */
export interface MessageOptions {
  /** Identifies the message: consumers deduplicate by it. 1 to 255 bytes. Default: a new UUID. */
  readonly id?: string | undefined;
  /**
   * Values by name; see {@link HeaderValue}. At most 64 KiB in all. Names that begin with `x-millrace-` are reserved for the
   * toolkit.
   */
  readonly headers?: MessageHeaders | undefined;
  /** 0 to 31; higher priorities are delivered first. Default: 4. Classic RabbitMQ queues need `maxPriority`. */
  readonly priority?: number | undefined;
  /** Identifies the request that this message belongs to. At most 255 bytes. Requesters set it themselves. */
  readonly correlationId?: string | undefined;
  /** The queue for the reply. At most 255 bytes. Requesters set it themselves. */
  readonly replyTo?: string | undefined;
  /** The kind of message, for receivers that handle several. At most 255 bytes. */
  readonly type?: string | undefined;
  /** The program that sends it. At most 255 bytes. */
  readonly appId?: string | undefined;
  /**
   * The user who sends it. At most 255 bytes. RabbitMQ refuses any user other than that of the connection with
   * `INVALID_MESSAGE`, so that receivers can rely on it; local brokers don't check it.
   */
  readonly userId?: string | undefined;
  /**
   * False: the message need not survive a restart of RabbitMQ (in classic queues) or a power failure (on disk). Default:
   * true.
   */
  readonly persistent?: boolean | undefined;
  /**
   * After how many milliseconds the message expires, at least 1. An expired message is not handled; the queue's `onExpired`
   * says whether it is dropped. The time includes retries and the waits of `send`. The clocks of sender and receiver have
   * to agree. Default: never.
   */
  readonly expiresInMs?: number | undefined;
  /**
   * After how many milliseconds the message is delivered, up to eight years; until then the broker holds it. RabbitMQ rounds
   * it up to whole seconds. 0: at once. See docs/later.md. Default: 0.
   */
  readonly delayMs?: number | undefined;
  /** When the message is delivered, instead of `delayMs`. A time in the past means at once. */
  readonly at?: Date | undefined;
  /** The encoding of the body, if the codec applies one. At most 255 bytes. Receivers decode `gzip`, `deflate`, `br`, `zstd`. */
  readonly contentEncoding?: string | undefined;
  /** How to compress the body, or false. Default: as in the queue's definition. */
  readonly compress?: Compression | false | undefined;
}

/** The names of {@link MessageOptions}, except for `id`. */
export const MESSAGE_OPTION_NAMES: readonly Exclude<keyof MessageOptions, 'id'>[] = [
  'headers',
  'priority',
  'correlationId',
  'replyTo',
  'type',
  'appId',
  'userId',
  'persistent',
  'expiresInMs',
  'delayMs',
  'at',
  'contentEncoding',
  'compress',
];

/** Checked message options, copied so that the caller can't change them. */
export type MessageProperties = MessageOptions;

/** Throws `INVALID_OPTION`. */
export function messageProperties(options: MessageOptions): MessageProperties {
  const { id, headers, priority, correlationId, replyTo, type, appId, userId } = options;
  const { persistent, expiresInMs, contentEncoding, delayMs, at } = options;
  shortString('id', id, 1);
  shortString('correlationId', correlationId, 0);
  shortString('replyTo', replyTo, 0);
  shortString('type', type, 0);
  shortString('appId', appId, 0);
  shortString('userId', userId, 0);
  shortString('contentEncoding', contentEncoding, 0);
  const compress = options.compress === false ? false : compressionOption(options.compress);
  if (compress && contentEncoding !== undefined) {
    throw new QueueError('INVALID_OPTION', 'contentEncoding: it is set by compress; give one of the two');
  }
  booleanOption('persistent', persistent, true);
  integerOption('expiresInMs', expiresInMs, { min: 1, max: MAX_EXPIRY_MS, default: 1 });
  checkDue(delayMs, at);
  integerOption('priority', priority, { min: 0, max: MAX_PRIORITY, default: 0 });
  return {
    ...(id !== undefined && { id }),
    ...(headers !== undefined && { headers: copyOf(headers) }),
    priority,
    correlationId,
    replyTo,
    type,
    appId,
    userId,
    persistent,
    contentEncoding,
    compress,
    expiresInMs,
    ...(delayMs !== undefined && { delayMs }),
    // A copy, since dates are mutable.
    ...(at !== undefined && { at: new Date(at) }),
  };
}

/** The longest delay of RabbitMQ's ladder of wait queues: eight and a half years. */
const MAX_SEND_DELAY_MS = (2 ** 28 - 1) * 1000;

function checkDue(delayMs: number | undefined, at: Date | undefined): void {
  integerOption('delayMs', delayMs, { min: 0, max: MAX_SEND_DELAY_MS, default: 0 });
  if (at === undefined) return;
  if (delayMs !== undefined)
    throw new QueueError('INVALID_OPTION', 'at: delayMs was given, too; give one of the two');
  if (!(at instanceof Date) || !(at.getTime() <= Date.now() + MAX_SEND_DELAY_MS)) {
    throw invalidOption('at', 'a valid Date within eight years', at);
  }
}

/** A thousand years. */
const MAX_EXPIRY_MS = 1000 * 365.25 * 24 * 3600 * 1000;

/**
 * An encoded value, compressed if requested and if that makes it smaller. Throws `TOO_LARGE` for a value that receivers
 * would refuse to decompress.
 */
export function packed(
  encoded: EncodedValue,
  properties: MessageProperties | undefined,
  queue: Pick<Queue<never>, 'compress'>,
  maxBytes: number,
): EncodedValue & { readonly contentEncoding?: string } {
  const compression = properties?.compress ?? queue.compress;
  if (!compression || properties?.contentEncoding !== undefined) return encoded;
  checkBodySize('the value', encoded.body, maxBytes);
  const body = compress(encoded.body, compression);
  return body === undefined
    ? encoded
    : { contentType: encoded.contentType, body, contentEncoding: compression };
}

/** AMQP 0-9-1 carries these properties as short strings: at most 255 bytes. */
function shortString(name: string, value: string | undefined, minBytes: number): void {
  if (value === undefined) return;
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw halfPair(name, value);
    const bytes = Buffer.byteLength(value);
    if (bytes >= minBytes && bytes <= 255) return;
  }
  throw invalidOption(name, `a string of ${minBytes} to 255 bytes`, value);
}

/** UTF-8 can't carry a lone surrogate: a different text would arrive. */
function halfPair(name: string, value: unknown): QueueError {
  return invalidOption(name, 'well-formed text, without half a surrogate pair', value);
}

function copyOf(given: MessageHeaders): MessageHeaders {
  const headers = copyHeaders(given, (where, expected, got) => invalidOption(where, expected, got));
  for (const [name, value] of Object.entries(headers)) {
    shortString('the name of a header', name, 1);
    if (!isWellFormed(value)) throw halfPair(`headers[${quote(name)}]`, value);
    if (name.startsWith(RESERVED_HEADER_PREFIX)) {
      throw new QueueError(
        'INVALID_OPTION',
        `headers[${quote(name)}]: names that begin with '${RESERVED_HEADER_PREFIX}' are set by millrace alone`,
      );
    }
  }
  const bytes = headersBytes(headers);
  if (bytes <= MAX_HEADERS_BYTES) return headers;
  throw new QueueError(
    'INVALID_OPTION',
    `headers take ${bytes} bytes; the limit is ${MAX_HEADERS_BYTES}: send fewer or smaller headers`,
  );
}
