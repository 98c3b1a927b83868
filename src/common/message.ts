/** Creates and copies messages: the only place that lists all their properties. */
import { randomFillSync } from 'node:crypto';
import type { Message } from '../broker.js';

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

/** A new message. By default it has a new id and no headers. */
export function newMessage(encoded: Encoded, properties: Properties = NO_PROPERTIES): Message {
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
    origin: properties.origin,
    type: properties.type,
    appId: properties.appId,
    userId: properties.userId,
    persistent: properties.persistent,
    expiresAt: expiresInMs === undefined ? undefined : timestamp + expiresInMs,
    dueAt: delayMs === undefined ? properties.at?.getTime() : timestamp + delayMs,
  };
}

/** The same message with a body of its own, and other headers if given. Once it is stored, it has no `dueAt`. */
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
