/** The mapping between messages and what AMQP 0-9-1 carries. Pure. */
import { randomUUID } from 'node:crypto';
import type { ConsumeMessage } from 'amqplib';
import { type Destination, MAX_PRIORITY, type Message } from '../../broker.js';
import { attemptOf, deadLetterHeaders, deadLetterHistory } from '../../common/history-headers.js';
import { quote } from '../../common/options.js';
import { QueueError } from '../../errors.js';
import { encodeTable, type HeaderField, type HeaderTable, isReadable } from './header-table.js';
import { originHeaders, originOf as publishedTo } from './origin.js';

/** Set on what is sent again after a lost link, where the first sending may have arrived. */
export const RESENT_HEADER = 'x-millrace-resent';

/** A short string of AMQP: its length is one byte. */
const MAX_SHORT_STRING_BYTES = 255;

/** RabbitMQ routes a message to the queues that these headers name, so the toolkit neither sends nor passes them on. */
export const SENDER_SELECTED_HEADERS = ['CC', 'BCC'];

/** What replies are published to (https://www.rabbitmq.com/docs/direct-reply-to). */
const REPLY_ADDRESS = /^amq\.rabbitmq\.reply-to\./;

/** The properties of a message that is sent, as AMQP 0-9-1 names them. */
export interface WireProperties {
  readonly mandatory: boolean;
  readonly persistent: true;
  readonly messageId: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** Seconds, if its sender followed the protocol. */
  readonly timestamp: number | bigint | undefined;
  readonly priority: number | undefined;
  readonly correlationId: string | undefined;
  readonly replyTo: string | undefined;
  readonly type?: string | undefined;
  readonly appId?: string | undefined;
}

/** A message as it is written to the wire. */
export interface WireMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly id: string;
  /** Text becomes UTF-8 when it is written. */
  readonly content: Buffer | string;
  readonly options: WireProperties;
  /** Headers of a message that was received, as they came; none of them is in `options.headers`. */
  readonly carried?: readonly HeaderField[] | undefined;
}

/** The properties of a received message, except for its headers. */
export interface ReceivedProperties
  extends Pick<
    WireProperties,
    | 'contentType'
    | 'contentEncoding'
    | 'timestamp'
    | 'priority'
    | 'correlationId'
    | 'replyTo'
    | 'type'
    | 'appId'
  > {
  readonly messageId: string | undefined;
  readonly deliveryMode: number | undefined;
  readonly expiration: string | undefined;
  readonly userId: string | undefined;
}

/** A message as it came over the wire. */
export interface ReceivedMessage {
  readonly fields: ConsumeMessage['fields'];
  readonly properties: ReceivedProperties;
  readonly headers: HeaderTable;
  /** Names of headers that amqplib read and that can't be carried on. */
  readonly lost?: readonly string[] | undefined;
  readonly content: Buffer;
}

/** A delivery that amqplib has read. */
export function fromAmqplib({ fields, properties, content }: ConsumeMessage): ReceivedMessage {
  const text = textIn(properties);
  const number = numberIn(properties);
  const { table, lost } = encodeTable(properties.headers ?? {});
  return {
    fields,
    properties: {
      contentType: text('contentType'),
      contentEncoding: text('contentEncoding'),
      deliveryMode: number('deliveryMode'),
      priority: number('priority'),
      correlationId: text('correlationId'),
      replyTo: text('replyTo'),
      expiration: text('expiration'),
      messageId: text('messageId'),
      timestamp: number('timestamp'),
      type: text('type'),
      userId: text('userId'),
      appId: text('appId'),
    },
    headers: table,
    lost: lost.length === 0 ? undefined : lost,
    content,
  };
}

/**
 * Received messages, by their bodies, with properties that `Message` has no field for: typed headers, properties of other
 * clients, times out of range. A message that is sent on under its id keeps them.
 */
const origins = new WeakMap<Uint8Array, { readonly received: ReceivedMessage; readonly id: string }>();

/** Throws `INVALID_MESSAGE` for what AMQP can't carry. */
export function toWire(to: Destination, message: Message, defaultPriority?: number): WireMessage {
  const { id, headers, timestamp, priority = defaultPriority } = message;
  checkShortString(message, 'exchange', to.exchange);
  checkShortString(message, 'routing key', to.routingKey);
  checkShortString(message, 'id', id);
  checkShortString(message, 'contentType', message.contentType);
  checkShortString(message, 'contentEncoding', message.contentEncoding);
  checkShortString(message, 'correlationId', message.correlationId);
  checkShortString(message, 'replyTo', message.replyTo);
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= MAX_PRIORITY)) {
    throw invalid(
      message,
      `its priority must be an integer from 0 to ${MAX_PRIORITY}, not ${quote(priority)}`,
    );
  }
  if (timestamp !== undefined && !(timestamp >= 0 && timestamp <= Number.MAX_SAFE_INTEGER)) {
    throw invalid(message, `its timestamp must be milliseconds since 1970, not ${quote(timestamp)}`);
  }
  for (const name in headers) {
    if (typeof headers[name] !== 'string') {
      throw invalid(message, `its header ${quote(name)} must be a string, not ${quote(headers[name])}`);
    }
    if (name === '__proto__') {
      throw invalid(message, "amqplib loses a header '__proto__' on receipt; call it something else");
    }
    if (SENDER_SELECTED_HEADERS.includes(name)) {
      throw invalid(
        message,
        `RabbitMQ takes a header ${name} for further queues to route to; call it something else`,
      );
    }
  }
  const origin = originOf(message);
  const { carried, added } =
    origin === undefined ? { carried: undefined, added: headers } : carry(origin.headers, headers);
  return {
    exchange: to.exchange,
    routingKey: to.routingKey,
    id,
    content: toContent(message.body),
    carried,
    options: {
      // Before 4.2 the broker calls a mandatory reply unroutable, and hands it to its receiver all the same.
      mandatory: !(to.exchange === '' && REPLY_ADDRESS.test(to.routingKey)),
      persistent: true,
      messageId: id,
      headers:
        message.origin === undefined || to.exchange !== ''
          ? added
          : { ...added, ...originHeaders(message.origin) },
      contentType: message.contentType === '' ? undefined : message.contentType,
      contentEncoding: message.contentEncoding ?? origin?.properties.contentEncoding,
      timestamp: timestampOf(message, origin),
      priority,
      correlationId: message.correlationId,
      replyTo: message.replyTo,
      type: origin?.properties.type,
      appId: origin?.properties.appId,
    },
  };
}

function originOf({ body, id }: Message): ReceivedMessage | undefined {
  const origin = typeof body === 'string' ? undefined : origins.get(body);
  return origin?.id === id ? origin.received : undefined;
}

function timestampOf(
  { timestamp }: Message,
  origin: ReceivedMessage | undefined,
): number | bigint | undefined {
  const received = origin?.properties.timestamp;
  if (received !== undefined && toMilliseconds(received) === timestamp) return received;
  return timestamp === undefined ? undefined : Math.floor(timestamp / 1000);
}

/** The same, marked as one that may have arrived before. */
export function asResent(options: WireProperties): WireProperties {
  return { ...options, headers: { ...options.headers, [RESENT_HEADER]: 'true' } };
}

/**
 * Splits the headers of a message that is sent on: unchanged ones are carried byte for byte, all others are added as
 * text. Fields that readers could not decode are left behind.
 */
export function carry(
  received: HeaderTable,
  wanted: Readonly<Record<string, string>>,
  left: string[] = [],
): {
  readonly carried: HeaderField[];
  readonly added: Record<string, string>;
  readonly left: readonly string[];
} {
  const carried: HeaderField[] = [];
  const added: Record<string, string> = { ...wanted };
  for (const field of received.fields()) {
    const { name } = field;
    if (!Object.hasOwn(wanted, name) || wanted[name] !== received.text[name]) continue;
    delete added[name];
    if (isReadable(field)) carried.push(field);
    else left.push(name);
  }
  return { carried, added, left };
}

/**
 * A received message. A foreign message without an id gets a random one, which handlers rely on; it differs from delivery
 * to delivery until the toolkit sends the message on. The body is not copied. Never throws.
 */
export function fromWire(received: ReceivedMessage): Message {
  const { properties, headers, content } = received;
  const { priority, messageId, timestamp } = properties;
  const message: Message = {
    id: messageId || randomUUID(),
    contentType: properties.contentType ?? '',
    contentEncoding: compressionOf(properties.contentEncoding),
    headers: withBrokerDeath(headers),
    body: content,
    timestamp: timestamp === undefined ? undefined : toMilliseconds(timestamp),
    priority: priority === undefined ? undefined : Math.min(priority, MAX_PRIORITY),
    correlationId: properties.correlationId,
    replyTo: properties.replyTo,
    origin: publishedTo(received),
  };
  if (hasMore(received, message)) origins.set(content, { received, id: message.id });
  return message;
}

/** Whether a `Message` can't hold all of it. */
function hasMore({ properties, headers }: ReceivedMessage, message: Message): boolean {
  const { type, appId, timestamp, contentEncoding } = properties;
  return (
    headers.isTyped ||
    type !== undefined ||
    appId !== undefined ||
    (timestamp !== undefined && message.timestamp === undefined) ||
    contentEncoding !== message.contentEncoding
  );
}

/** The latest time that a `Date` can be, in seconds. */
const MAX_SECONDS = 8.64e12;

/** Some senders write milliseconds where AMQP has seconds: an impossible time counts as none. */
function toMilliseconds(seconds: number | bigint): number | undefined {
  return seconds <= MAX_SECONDS ? Number(seconds) * 1000 : undefined;
}

/** Encodings that must be decompressed. All others name a character set, or nothing, and the codec reads the body. */
const COMPRESSIONS = /\b(x-)?(gzip|deflate|compress|br|zstd|lz4|snappy|xz|lzma|bz2|bzip2|zlib|zip)\b/;

/** What a body is compressed with, as its sender says; undefined if it is not. */
function compressionOf(encoding: string | undefined): string | undefined {
  const name = encoding?.trim().toLowerCase();
  return name !== undefined && COMPRESSIONS.test(name) ? name : undefined;
}

/**
 * RabbitMQ moves a message itself when its queue's delivery limit is exceeded, and says so in its own words
 * (`x-death`, https://www.rabbitmq.com/docs/dlx). Readers of dead letters get them in the toolkit's.
 */
function withBrokerDeath(headers: HeaderTable): Readonly<Record<string, string>> {
  const { text } = headers;
  if (!Object.hasOwn(text, 'x-death') || deadLetterHistory(text) !== undefined) return text;
  const deaths = headers.value('x-death');
  const last: unknown = Array.isArray(deaths) ? deaths[0] : undefined;
  if (typeof last !== 'object' || last === null) return text;
  if (!('reason' in last && last.reason === 'delivery_limit' && 'queue' in last)) return text;
  if (typeof last.queue !== 'string') return text;
  const death = deadLetterHeaders<string>(
    {},
    {
      queue: last.queue,
      // It counts the deliveries that failed, and the last of them was an attempt like the first.
      attempt: attemptOf(text) - 1 + (countOf(headers, 'x-delivery-count') || 1),
      failure: { code: 'delivery-limit', error: 'delivered again and again without being settled' },
      deadAt: 'time' in last ? toDate(last.time) : undefined,
    },
  );
  return { ...text, ...death };
}

/** A count that the broker wrote; 0 for anything else. */
export function countOf(headers: HeaderTable, name: string): number {
  const count = headers.value(name);
  return typeof count === 'number' && Number.isSafeInteger(count) && count > 0 ? count : 0;
}

/** AMQP's timestamps are seconds. amqplib hands those in headers over as `{ '!': 'timestamp', value }`. */
function toDate(time: unknown): Date | undefined {
  if (typeof time !== 'object' || time === null || !('value' in time)) return undefined;
  if (typeof time.value !== 'number') return undefined;
  const date = new Date(time.value * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function toContent(body: Message['body']): WireMessage['content'] {
  // Copied, since a message may have to be sent again, and the sender's array is the sender's.
  return typeof body === 'string' ? body : Buffer.from(body);
}

function checkShortString(message: Message, what: string, value: string | undefined): void {
  if (value === undefined) return;
  if (typeof value !== 'string') throw invalid(message, `its ${what} must be a string, not ${quote(value)}`);
  // A UTF-16 code unit makes at most three bytes.
  if (value.length * 3 <= MAX_SHORT_STRING_BYTES) return;
  const bytes = Buffer.byteLength(value);
  if (bytes > MAX_SHORT_STRING_BYTES) {
    throw invalid(
      message,
      `its ${what} has ${bytes} bytes, AMQP carries ${MAX_SHORT_STRING_BYTES}: ${quote(value)}`,
    );
  }
}

function invalid(message: Message, why: string): QueueError {
  return new QueueError('INVALID_MESSAGE', `message ${quote(message.id)} can't be sent: ${why}`);
}

function textIn(properties: object): (name: string) => string | undefined {
  return (name) => {
    const value: unknown = (properties as Record<string, unknown>)[name];
    return typeof value === 'string' ? value : undefined;
  };
}

function numberIn(properties: object): (name: string) => number | undefined {
  return (name) => {
    const value: unknown = (properties as Record<string, unknown>)[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  };
}
