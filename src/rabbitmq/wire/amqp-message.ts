/** The mapping between messages and what AMQP 0-9-1 carries. Pure. */
import { randomUUID } from 'node:crypto';
import type { ConsumeMessage, Options } from 'amqplib';
import { type Destination, MAX_PRIORITY, type Message } from '../../broker.js';
import {
  attemptOf,
  deadLetterHeaders,
  deadLetterHistory,
  RESERVED_HEADER_PREFIX,
} from '../../common/history-headers.js';
import { quote } from '../../common/options.js';
import { QueueError } from '../../errors.js';

/** Set on what is sent again after a lost link, where the first sending may have arrived. */
export const RESENT_HEADER = 'x-millrace-resent';

/** A short string of AMQP: its length is one byte. */
const MAX_SHORT_STRING_BYTES = 255;

/** How the broker reads these headers is not ours to pass on: they name further queues for a message. */
const SENDER_SELECTED_HEADERS = ['CC', 'BCC'];

/** What replies are published to (https://www.rabbitmq.com/docs/direct-reply-to). */
const REPLY_ADDRESS = /^amq\.rabbitmq\.reply-to\./;

/** A message as it is handed to amqplib. */
export interface WireMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly id: string;
  /** Text becomes UTF-8 when it is written. */
  readonly content: Buffer | string;
  readonly options: Options.Publish;
}

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
      `its priority is to be an integer from 0 to ${MAX_PRIORITY}, not ${quote(priority)}`,
    );
  }
  if (timestamp !== undefined && !(timestamp >= 0 && timestamp <= Number.MAX_SAFE_INTEGER)) {
    throw invalid(message, `its timestamp is to be milliseconds since 1970, not ${quote(timestamp)}`);
  }
  for (const name in headers) {
    if (typeof headers[name] !== 'string') {
      throw invalid(message, `its header ${quote(name)} is to be a string, not ${quote(headers[name])}`);
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
  return {
    exchange: to.exchange,
    routingKey: to.routingKey,
    id,
    content: toContent(message.body),
    options: {
      // Before 4.2 the broker calls a mandatory reply unroutable, and hands it to its receiver all the same.
      mandatory: !(to.exchange === '' && REPLY_ADDRESS.test(to.routingKey)),
      persistent: true,
      messageId: id,
      headers,
      contentType: message.contentType === '' ? undefined : message.contentType,
      contentEncoding: message.contentEncoding,
      timestamp: timestamp === undefined ? undefined : Math.floor(timestamp / 1000),
      priority,
      correlationId: message.correlationId,
      replyTo: message.replyTo,
      // amqplib leaves out what is undefined, though its types do not say so.
    } as Options.Publish,
  };
}

/** The same, marked as one that may have arrived before. */
export function asResent(options: Options.Publish): Options.Publish {
  return { ...options, headers: { ...options.headers, [RESENT_HEADER]: 'true' } };
}

/** What the broker wrote onto a message on its earlier ways; on the next one it begins anew. */
const BROKER_HEADERS = /^x-(death|(first|last)-death-.*|delivery-count|acquired-count)$/;

/**
 * A received message as it is put into another queue: all that its sender set, the types of its headers too, with
 * other headers on top. Not its expiry, which would cut short its time there, nor the user id, which the broker
 * accepts from that user only, nor the headers that made the broker route it to several queues.
 */
export function republished(
  queue: string,
  received: ConsumeMessage,
  id: string,
  change: (headers: Readonly<Record<string, unknown>>) => Record<string, unknown>,
): WireMessage {
  const { properties, content } = received;
  const raw: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(properties.headers ?? {})) {
    if (!BROKER_HEADERS.test(name) && !SENDER_SELECTED_HEADERS.includes(name)) raw[name] = encodable(value);
  }
  return {
    exchange: '',
    routingKey: queue,
    id,
    content,
    options: {
      mandatory: true,
      persistent: true,
      messageId: id,
      headers: change(raw),
      contentType: properties.contentType,
      contentEncoding: properties.contentEncoding,
      priority: properties.priority,
      correlationId: properties.correlationId,
      replyTo: properties.replyTo,
      timestamp: properties.timestamp,
      type: properties.type,
      appId: properties.appId,
    },
  };
}

/** On a moved message: the names of the sender's headers that had to go. */
const DROPPED_HEADERS = 'x-millrace-dropped-headers';

/** Of the sender's headers so many bytes are kept where not all can be: half of the 64 KiB that amqplib encodes. */
const KEPT_HEADER_BYTES = 32 * 1024;

const MAX_DROPPED_NAMES_LENGTH = 1000;

/**
 * The same without the largest headers of its sender. A message may come with as many as can be carried at all, and
 * then there is no room for why it is moved; without that it could neither be retried nor become a dead letter.
 */
export function withRoomForHistory(message: WireMessage, frameMax: number): WireMessage {
  // All headers share one frame with the history, which takes up to 6 kB.
  const keptBytes = Math.min(KEPT_HEADER_BYTES, frameMax / 4);
  const kept: Record<string, unknown> = {};
  const dropped: string[] = [];
  let bytes = 0;
  const bySize = Object.entries(message.options.headers ?? {})
    .map(([name, value]) => ({ name, value, bytes: mostBytesOf(name, value) }))
    .sort((a, b) => a.bytes - b.bytes);
  for (const header of bySize) {
    const isOurs = header.name.startsWith(RESERVED_HEADER_PREFIX);
    if (!isOurs) bytes += header.bytes;
    if (isOurs || bytes <= keptBytes) kept[header.name] = header.value;
    else dropped.push(header.name);
  }
  kept[DROPPED_HEADERS] = dropped.join(', ').slice(0, MAX_DROPPED_NAMES_LENGTH);
  return { ...message, options: { ...message.options, headers: kept } };
}

/** An upper bound of what the header takes in a table of AMQP. */
function mostBytesOf(name: string, value: unknown): number {
  // The longest numbers for their text take four bytes a character.
  const text = typeof value === 'string' ? value : JSON.stringify(value).repeat(4);
  return Buffer.byteLength(name) + Buffer.byteLength(text) + 6;
}

const DEATH_HEADERS = /^x-(death|(first|last)-death-.*)$/;

/** What the broker wrote of how a message came into a dead-letter queue. */
export function deathHeaders({ properties }: ConsumeMessage): Record<string, unknown> {
  const death = Object.entries(properties.headers ?? {}).filter(([name]) => DEATH_HEADERS.test(name));
  return Object.fromEntries(death.map(([name, value]) => [name, encodable(value)]));
}

/** amqplib takes numbers that are not finite for integers, and throws. */
function encodable(value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return { '!': 'double', value };
  if (Array.isArray(value)) return value.map(encodable);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, encodable(field)]));
}

/**
 * A received message. One without an id, from a foreign sender, gets one made up: handlers rely on there being
 * one, though it is another at each delivery until the toolkit itself sends it on. The body stays as the bytes
 * that came.
 */
export function fromWire({ properties, content }: ConsumeMessage): Message {
  const priority = numberOf(properties.priority);
  const timestamp = numberOf(properties.timestamp);
  return {
    id: textOf(properties.messageId) || randomUUID(),
    contentType: textOf(properties.contentType) ?? '',
    contentEncoding: contentEncodingOf(properties.contentEncoding),
    headers: headersFromWire(properties.headers ?? {}),
    body: content,
    timestamp: timestamp === undefined ? undefined : timestamp * 1000,
    priority: priority === undefined ? undefined : Math.min(priority, MAX_PRIORITY),
    correlationId: textOf(properties.correlationId),
    replyTo: textOf(properties.replyTo),
  };
}

/** The encoding of a body that can't be read as it is; undefined for the labels that name none. */
function contentEncodingOf(encoding: unknown): string | undefined {
  const name = textOf(encoding)?.trim().toLowerCase();
  return name === undefined || ['', 'identity', 'none', 'utf-8', 'utf8'].includes(name) ? undefined : name;
}

/** The headers of a received message as text: `5` and `true` as they are written, structures as JSON. */
export function headersFromWire(raw: Readonly<Record<string, unknown>>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of Object.keys(raw)) {
    const value = raw[name];
    headers[name] = typeof value === 'string' ? value : headerText(value);
  }
  const death = brokerDeath(raw);
  if (death === undefined || deadLetterHistory(headers) !== undefined) return headers;
  return { ...headers, ...death };
}

/**
 * RabbitMQ moves a message itself when its queue's delivery limit is exceeded, and says so in its own words
 * (`x-death`, https://www.rabbitmq.com/docs/dlx). Readers of dead letters get them in the toolkit's.
 */
function brokerDeath(raw: Readonly<Record<string, unknown>>): Record<string, string> | undefined {
  const deaths = raw['x-death'];
  const last: unknown = Array.isArray(deaths) ? deaths[0] : undefined;
  if (typeof last !== 'object' || last === null) return undefined;
  if (!('reason' in last && last.reason === 'delivery_limit' && 'queue' in last)) return undefined;
  const count = Number(raw['x-delivery-count'] ?? 0);
  return deadLetterHeaders<string>(
    {},
    {
      queue: String(last.queue),
      // It counts the deliveries that failed, and the last of them was an attempt like the first.
      attempt: attemptOf(raw) - 1 + (Number.isSafeInteger(count) && count > 0 ? count : 1),
      failure: { code: 'delivery-limit', error: 'delivered again and again without being settled' },
      deadAt: 'time' in last ? toDate(last.time) : undefined,
    },
  );
}

/** AMQP's timestamps are seconds. amqplib hands those in headers over as `{ '!': 'timestamp', value }`. */
function toDate(time: unknown): Date | undefined {
  if (typeof time !== 'object' || time === null || !('value' in time)) return undefined;
  const date = new Date(Number(time.value) * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function headerText(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  return JSON.stringify(value) ?? '';
}

function toContent(body: Message['body']): WireMessage['content'] {
  // Copied, since a message may have to be sent again, and the sender's array is the sender's.
  return typeof body === 'string' ? body : Buffer.from(body);
}

function checkShortString(message: Message, what: string, value: string | undefined): void {
  if (value === undefined) return;
  if (typeof value !== 'string') throw invalid(message, `its ${what} is to be a string, not ${quote(value)}`);
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

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
