/** The mapping between messages and AMQP 0-9-1. */
import { randomUUID } from 'node:crypto';
import type { ConsumeMessage } from 'amqplib';
import { type Destination, MAX_PRIORITY, type Message, type MessageHeaders } from '../../broker.js';
import { checkMessage, checkShortString, faultOf } from '../../common/message/create-and-check.js';
import { expiryIn, hasExpiry, withExpiry } from '../../common/message/expiry.js';
import { checkHeaderName, checkHeaders } from '../../common/message/headers.js';
import { isDeadLetter, withBrokerDeath } from './broker-death.js';
import { carry, isUnchanged } from './carried-headers.js';
import { type HeaderField, type HeaderTable, NO_HEADERS } from './header-table.js';
import { originHeaders, originOf as publishedTo } from './origin.js';

/** Set on messages sent again after a lost connection, if the first sending may have arrived. */
export const RESENT_HEADER = 'x-millrace-resent';

/** RabbitMQ routes a message to the queues that these headers name, so the toolkit neither sends nor passes them on. */
const SENDER_SELECTED_HEADERS = ['CC', 'BCC'];

/** The address that replies are published to (https://www.rabbitmq.com/docs/direct-reply-to). */
const REPLY_ADDRESS = /^amq\.rabbitmq\.reply-to\./;

/** The properties of a message that is sent, as AMQP 0-9-1 names them. */
export interface WireProperties {
  readonly mandatory: boolean;
  readonly persistent: boolean;
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
  readonly userId?: string | undefined;
  /** When the queue may drop the message, in milliseconds since 1970: AMQP carries the remaining time at sending. */
  readonly expiresAt?: number | undefined;
}

/** A message as it is written to the wire. */
export interface WireMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly id: string;
  /** Text becomes UTF-8 when it is written. */
  readonly content: Buffer | string;
  readonly options: WireProperties;
  /** Encoded headers, none of which is in `options.headers`. */
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
  /** Names of headers that amqplib read and that can't be passed on. */
  readonly lost?: readonly string[] | undefined;
  readonly content: Buffer;
}

/**
 * Received messages, by their bodies, with properties that `Message` has no field for: typed headers, properties of other
 * clients, times out of range. A message that is sent on under its id keeps them.
 */
const origins = new WeakMap<Uint8Array, { readonly received: ReceivedMessage; readonly id: string }>();

/**
 * Throws `INVALID_MESSAGE` for values that AMQP can't carry. `expiresInQueue`: whether the queue itself drops the
 * message when it expires.
 */
export function toWire(
  to: Destination,
  message: Message,
  defaultPriority?: number,
  expiresInQueue = true,
): WireMessage {
  const { id, headers, priority = defaultPriority } = message;
  checkShortString(message, 'exchange', to.exchange);
  checkShortString(message, 'routing key', to.routingKey);
  checkMessage(message);
  const origin = originOf(message);
  for (const name in headers) {
    const isCarried = origin !== undefined && isUnchanged(origin.headers, headers, name);
    if (isCarried && !SENDER_SELECTED_HEADERS.includes(name)) continue;
    checkHeaderName(name, faultOf(message));
  }
  const { expiresAt } = message;
  const wanted = expiresAt === undefined ? headers : withExpiry(headers, expiresAt);
  const { carried, added } =
    origin === undefined ? encodeHeaders(message, wanted) : carryAll(message, origin.headers, wanted);
  return {
    exchange: to.exchange,
    routingKey: to.routingKey,
    id,
    content: toContent(message.body),
    carried,
    options: {
      // Before 4.2 the broker reports a mandatory reply as unroutable, but delivers it anyway.
      mandatory: !(to.exchange === '' && REPLY_ADDRESS.test(to.routingKey)),
      persistent: message.persistent !== false,
      messageId: id,
      headers:
        message.origin === undefined || to.exchange !== ''
          ? added
          : { ...added, ...originHeaders(message.origin) },
      contentType: message.contentType === '' ? undefined : message.contentType,
      contentEncoding: message.contentEncoding,
      timestamp: timestampOf(message, origin),
      priority,
      correlationId: message.correlationId,
      replyTo: message.replyTo,
      type: message.type,
      appId: message.appId,
      // Of a message that is sent on: the broker would refuse another user's.
      userId: origin === undefined ? message.userId : undefined,
      expiresAt: expiresInQueue ? expiresAt : undefined,
    },
  };
}

/** The headers that are text, and those that have to be encoded. Throws `INVALID_MESSAGE`. */
function encodeHeaders(
  message: Message,
  headers: MessageHeaders,
): Pick<WireMessage, 'carried'> & { readonly added: Readonly<Record<string, string>> } {
  for (const name in headers)
    if (typeof headers[name] !== 'string') return carryAll(message, undefined, headers);
  return { carried: undefined, added: headers as Readonly<Record<string, string>> };
}

/** As {@link carry}. Throws `INVALID_MESSAGE` for values that a table can't carry. */
function carryAll(
  message: Message,
  received: HeaderTable | undefined,
  headers: MessageHeaders,
): ReturnType<typeof carry> {
  return carry(received, headers, (added) => checkHeaders(added, faultOf(message)));
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
 * A received message. A foreign message without an id gets a random one, which handlers rely on; it differs from delivery
 * to delivery until the toolkit sends the message on. The body is a copy: its reader may change the bytes, and what is
 * moved to another queue is what was received. Never throws.
 */
export function fromWire(received: ReceivedMessage): Message {
  const { fields, properties, headers, content } = received;
  const { priority, messageId, timestamp } = properties;
  const { values, expiresAt } = timeLimited(received);
  const body = Buffer.from(content);
  const message: Message = {
    id: messageId || randomUUID(),
    contentType: properties.contentType ?? '',
    contentEncoding: properties.contentEncoding,
    headers: Object.hasOwn(values, 'x-death') ? withBrokerDeath(headers, values) : values,
    body,
    timestamp: timestamp === undefined ? undefined : toMilliseconds(timestamp),
    priority: priority === undefined ? undefined : Math.min(priority, MAX_PRIORITY),
    correlationId: properties.correlationId,
    replyTo: properties.replyTo,
    origin: fields.exchange === '' && headers === NO_HEADERS ? undefined : publishedTo(received),
    type: properties.type,
    appId: properties.appId,
    userId: properties.userId,
    persistent: properties.deliveryMode === PERSISTENT ? undefined : false,
    expiresAt,
  };
  if (hasMore(received, message)) origins.set(body, { received, id: message.id });
  return message;
}

/** The delivery mode of messages that survive a restart of the broker. */
export const PERSISTENT = 2;

/** Whether a `Message` can't hold all of it, or it can't all be sent on. */
function hasMore({ properties, headers }: ReceivedMessage, message: Message): boolean {
  const { userId, timestamp } = properties;
  return (
    headers.isTyped || userId !== undefined || (timestamp !== undefined && message.timestamp === undefined)
  );
}

/** When a message expires, and its headers without that time. */
function timeLimited({ properties, headers }: ReceivedMessage): {
  readonly values: MessageHeaders;
  readonly expiresAt: number | undefined;
} {
  const { values } = headers;
  if (headers !== NO_HEADERS && hasExpiry(values)) {
    const { expiresAt, others } = expiryIn(values);
    return { values: others, expiresAt: isDeadLetter(values) ? undefined : expiresAt };
  }
  const { expiration } = properties;
  if (expiration === undefined || !/^\d{1,15}$/.test(expiration)) return { values, expiresAt: undefined };
  // The broker does not report when it started counting: no later than this.
  return { values, expiresAt: Date.now() + Number(expiration) };
}

/** The latest time that a `Date` can be, in seconds. */
const MAX_SECONDS = 8.64e12;

/** Some senders write milliseconds where AMQP has seconds: an impossible time counts as none. */
function toMilliseconds(seconds: number | bigint): number | undefined {
  return seconds <= MAX_SECONDS ? Number(seconds) * 1000 : undefined;
}

function toContent(body: Message['body']): WireMessage['content'] {
  // Copied, since a message may have to be sent again, and the sender may change its array.
  return typeof body === 'string' ? body : Buffer.from(body);
}
