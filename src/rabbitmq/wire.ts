/** The mapping between messages and what AMQP 0-9-1 carries. Pure. */
import { randomUUID } from 'node:crypto';
import type { ConsumeMessage, Options } from 'amqplib';
import { type Address, MAX_PRIORITY, type Message } from '../broker.js';
import { QueueError } from '../errors.js';
import { attemptOf, deadLetterHeaders, deadLetterHistory } from '../failure-headers.js';
import { quote } from '../options.js';

/** Set on what is sent again after a lost link, where the first sending may have arrived. */
export const RESENT_HEADER = 'x-millrace-resent';

/** A short string of AMQP: its length is one byte. */
const MAX_SHORT_STRING_BYTES = 255;

/** How the broker reads these headers is not ours to pass on: they name further queues for a message. */
const SENDER_SELECTED_HEADERS = ['CC', 'BCC'];

/** A message as it is handed to amqplib. */
export interface WireMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly id: string;
  readonly content: Buffer;
  readonly options: Options.Publish;
}

/** Throws `INVALID_MESSAGE` for what AMQP can't carry. */
export function toWire(to: Address, message: Message, defaultPriority?: number): WireMessage {
  const { id, headers, timestamp, priority = defaultPriority } = message;
  checkShortString(message, 'exchange', to.exchange);
  checkShortString(message, 'routing key', to.routingKey);
  checkShortString(message, 'id', id);
  checkShortString(message, 'contentType', message.contentType);
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
      mandatory: true,
      persistent: true,
      messageId: id,
      headers,
      contentType: message.contentType === '' ? undefined : message.contentType,
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
      attempt: attemptOf(raw) + (Number.isSafeInteger(count) && count > 0 ? count : 0),
      failure: { code: 'delivery-limit', error: 'delivered again and again without being settled' },
    },
  );
}

function headerText(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  return JSON.stringify(value) ?? '';
}

function toContent(body: Message['body']): Buffer {
  // Copied, since a message may have to be sent again, and the sender's array is the sender's.
  return Buffer.from(body);
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
