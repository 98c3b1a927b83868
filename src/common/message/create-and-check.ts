/** Creates, copies and checks messages, their size included. Handlers and loops receive a `Context` or what `toReceived` makes. */
import { randomFillSync } from 'node:crypto';
import { type Destination, MAX_PRIORITY, type Message } from '../../broker.js';
import { QueueError } from '../../errors.js';
import { quote } from '../options.js';
import {
  checkHeaderName,
  copyHeaders,
  type HeaderFault,
  headersBytes,
  MAX_HEADERS_BYTES,
} from './headers.js';

const NO_HEADERS: Message['headers'] = Object.freeze({});

/** An encoded value. */
type Encoded = Pick<Message, 'contentType' | 'body' | 'contentEncoding'>;

/** The other properties that a sender can set. */
type Properties = {
  readonly [Name in keyof Omit<Message, 'contentType' | 'body' | 'timestamp' | 'expiresAt' | 'dueAt'>]?:
    | Message[Name]
    | undefined;
} & {
  /** Milliseconds, from the message's time on. */
  readonly expiresInMs?: number | undefined;
  /** Milliseconds, from the message's time on. */
  readonly delayMs?: number | undefined;
  readonly at?: Date | undefined;
};

const NO_PROPERTIES: Properties = Object.freeze({});

/**
 * A new message. By default it has a new id and no headers. `routed`: the properties that differ from value to value,
 * kept apart so that the properties of many messages can be one object.
 */
export function newMessage(
  encoded: Encoded,
  properties: Properties = NO_PROPERTIES,
  routed: Pick<Properties, 'origin' | 'type'> = NO_PROPERTIES,
): Message {
  const timestamp = Date.now();
  const { expiresInMs, delayMs } = properties;
  return {
    id: properties.id ?? newMessageId(),
    contentType: encoded.contentType,
    headers: properties.headers ?? NO_HEADERS,
    body: encoded.body,
    timestamp,
    priority: properties.priority,
    contentEncoding: encoded.contentEncoding ?? properties.contentEncoding,
    correlationId: properties.correlationId,
    replyTo: properties.replyTo,
    origin: routed.origin ?? properties.origin,
    type: routed.type ?? properties.type,
    appId: properties.appId,
    userId: properties.userId,
    persistent: properties.persistent,
    expiresAt: expiresInMs === undefined ? undefined : timestamp + expiresInMs,
    dueAt: delayMs === undefined ? properties.at?.getTime() : timestamp + delayMs,
  };
}

/** A copy with its own body, and other headers if given. It has no `dueAt`, as a stored message has none. */
export function copyMessage(message: Message, headers: Message['headers'] = message.headers): Message {
  return {
    id: message.id,
    contentType: message.contentType,
    headers,
    body: copyBody(message.body),
    timestamp: message.timestamp,
    priority: message.priority,
    contentEncoding: message.contentEncoding,
    correlationId: message.correlationId,
    replyTo: message.replyTo,
    origin: message.origin,
    type: message.type,
    appId: message.appId,
    userId: message.userId,
    persistent: message.persistent,
    expiresAt: message.expiresAt,
  };
}

/** A copy of a message that is still to be sent, with its own body. */
export function copyUnsent(message: Message): Message {
  return { ...copyMessage(message), dueAt: message.dueAt };
}

/** A copy that neither the sender nor a codec that reuses its buffer can change. */
export function copyBody(body: Message['body']): Message['body'] {
  return typeof body === 'string' ? body : new Uint8Array(body);
}

const ID_BYTES = 16;
/** How many ids are generated from one call for random bytes. */
const IDS_AT_ONCE = 128;
const HEX = Buffer.from('0123456789abcdef');

const random = Buffer.alloc(ID_BYTES * IDS_AT_ONCE);
let used = random.length;
const text = Buffer.from('xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx');
/** The position of the first of the two digits of each byte. */
const POSITIONS = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/**
 * A random UUID (RFC 9562, version 4). `crypto.randomUUID` concatenates twenty strings, which have to be flattened and
 * collected: a busy producer would spend more time on that than on all other properties of a message.
 */
export function newMessageId(): string {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  // The version, and the variant of the RFC.
  random[used + 6] = ((random[used + 6] as number) & 0x0f) | 0x40;
  random[used + 8] = ((random[used + 8] as number) & 0x3f) | 0x80;
  for (const position of POSITIONS) {
    const byte = random[used++] as number;
    text[position] = HEX[byte >>> 4] as number;
    text[position + 1] = HEX[byte & 0x0f] as number;
  }
  return text.toString('latin1');
}

/** AMQP 0-9-1 carries these texts as short strings. */
const MAX_SHORT_STRING_BYTES = 255;

/**
 * Checks everything except the headers, and refuses values that no backend takes, so that a message means the same on
 * every backend. Throws `INVALID_MESSAGE`.
 */
export function checkMessage(message: Message): void {
  const { body, priority, timestamp, expiresAt, dueAt } = message;
  // From JavaScript, it may be missing.
  if (typeof message.id !== 'string') throw faultOf(message)('id', 'a string', message.id);
  checkShortString(message, 'id', message.id);
  checkShortString(message, 'contentType', message.contentType);
  checkShortString(message, 'contentEncoding', message.contentEncoding);
  checkShortString(message, 'correlationId', message.correlationId);
  checkShortString(message, 'replyTo', message.replyTo);
  checkShortString(message, 'type', message.type);
  checkShortString(message, 'appId', message.appId);
  checkShortString(message, 'userId', message.userId);
  const fault = faultOf(message);
  if (typeof body !== 'string' && !(body instanceof Uint8Array))
    throw fault('body', 'a string or a Uint8Array', body);
  if (typeof message.headers !== 'object' || message.headers === null)
    throw fault('headers', 'an object', message.headers);
  if (priority !== undefined && !(Number.isInteger(priority) && priority >= 0 && priority <= MAX_PRIORITY))
    throw fault('priority', `an integer from 0 to ${MAX_PRIORITY}`, priority);
  if (timestamp !== undefined && !(timestamp >= 0 && timestamp <= Number.MAX_SAFE_INTEGER))
    throw fault('timestamp', 'milliseconds since 1970', timestamp);
  if (expiresAt !== undefined && !(Number.isSafeInteger(expiresAt) && expiresAt >= 0))
    throw fault('expiresAt', 'milliseconds since 1970', expiresAt);
  if (dueAt !== undefined && !Number.isSafeInteger(dueAt))
    throw fault('dueAt', 'milliseconds since 1970', dueAt);
}

/** Throws `INVALID_MESSAGE`. */
export function checkShortString(message: Message, what: string, value: string | undefined): void {
  if (value === undefined) return;
  if (typeof value !== 'string') throw faultOf(message)(what, 'a string', value);
  // A UTF-16 code unit makes at most three bytes.
  if (!value.isWellFormed())
    throw faultOf(message)(what, "text without half a surrogate pair, which UTF-8 can't carry", value);
  if (value.length * 3 <= MAX_SHORT_STRING_BYTES) return;
  const bytes = Buffer.byteLength(value);
  if (bytes <= MAX_SHORT_STRING_BYTES) return;
  throw invalidMessage(
    message,
    `its ${what} has ${bytes} bytes, AMQP carries ${MAX_SHORT_STRING_BYTES}: ${quote(value)}`,
  );
}

/** Creates the errors for faults of the message. */
export function faultOf(message: Message): HeaderFault {
  return (where, expected, got) =>
    invalidMessage(message, `its ${where} must be ${expected}, not ${quote(got)}`);
}

function invalidMessage(message: Message, why: string): QueueError {
  return new QueueError('INVALID_MESSAGE', `message ${quote(message.id)} can't be sent: ${why}`);
}

/** Its own headers, frozen, in the form in which they arrive. Throws `INVALID_MESSAGE`. */
export function copiedHeaders(message: Message): Message['headers'] {
  const { headers } = message;
  for (const _ in headers) return Object.freeze(fitting(message, copyHeaders(headers, faultOf(message))));
  return NO_HEADERS;
}

/** The headers in the form in which they arrive. Throws `INVALID_MESSAGE`. */
export function storableHeaders(message: Message): Message['headers'] {
  const { headers } = message;
  for (const name in headers) {
    if (typeof headers[name] !== 'string') return fitting(message, copyHeaders(headers, faultOf(message)));
    checkHeaderName(name, faultOf(message));
  }
  return fitting(message, headers);
}

/** Throws for headers that RabbitMQ could not carry. */
function fitting(message: Message, headers: Message['headers']): Message['headers'] {
  const bytes = headersBytes(headers);
  if (bytes <= MAX_HEADERS_BYTES) return headers;
  throw invalidMessage(
    message,
    `its headers take ${bytes} bytes; the limit is ${MAX_HEADERS_BYTES}: send fewer or smaller headers`,
  );
}

/** Throws `INVALID_MESSAGE` for a delayed message to an exchange, which routes by its present bindings. */
export function refuseDelay(to: Destination, message: Message): void {
  if (to.exchange === '' || message.dueAt === undefined) return;
  throw faultOf(message)('dueAt', 'none, since only messages to a queue can be delayed', message.dueAt);
}

/** 1 MiB: far below RabbitMQ's own limit (16 MiB since 4.0), above which the broker closes the channel. */
export const DEFAULT_MAX_MESSAGE_BYTES = 1024 * 1024;

/** Whether the body is over the limit. Counts the bytes of a text only if necessary. */
export function isTooLarge(body: Uint8Array | string, maxBytes: number): boolean {
  if (typeof body !== 'string') return body.byteLength > maxBytes;
  // A UTF-16 code unit makes one to three bytes of UTF-8.
  return body.length * 3 > maxBytes && (body.length > maxBytes || Buffer.byteLength(body) > maxBytes);
}

/** Throws `TOO_LARGE`. */
export function checkSize({ id, body }: Message, maxBytes: number): void {
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return;
  if (isTooLarge(body, maxBytes)) checkBodySize(`message ${id}`, body, maxBytes);
}

/** Throws `TOO_LARGE`. */
export function checkBodySize(what: string, body: Message['body'], maxBytes: number): void {
  if (!isTooLarge(body, maxBytes)) return;
  const bytes = Buffer.byteLength(body);
  throw new QueueError(
    'TOO_LARGE',
    `${what} has ${bytes} bytes, the limit is ${maxBytes}: send a reference to the data, or raise maxMessageBytes in connect()`,
  );
}

/** Checks what a broker is given to publish, except the headers. Throws `TOO_LARGE` and `INVALID_MESSAGE`. */
export function checkPublishing(to: Destination, message: Message, maxBytes: number): void {
  checkSize(message, maxBytes);
  refuseDelay(to, message);
  checkMessage(message);
}
