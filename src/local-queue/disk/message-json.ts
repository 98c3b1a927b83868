/**
 * Headers and rare properties as stored: JSON, which SQLite can query. Text, numbers, booleans, null, lists and tables
 * are plain JSON. Values that JSON can't represent are a table with one name, which starts with `$`:
 *
 *   {"$int64": "9007199254740993"}   {"$date": "2026-01-31T12:00:00.000Z"}   {"$bytes": "3q0="} (base64)
 *   {"$table": {…}}   a table that could be taken for one of these
 */
import type { HeaderValue, Message, MessageHeaders } from '../../broker.js';
import { isList, isTable } from '../../common/message/headers.js';

const NO_HEADERS: MessageHeaders = Object.freeze({});

/** Null: none. The headers were checked. */
export function headersText(headers: MessageHeaders): string | null {
  let isText = true;
  let isEmpty = true;
  for (const name in headers) {
    isEmpty = false;
    isText &&= typeof headers[name] === 'string';
  }
  if (isEmpty) return null;
  return JSON.stringify(isText ? headers : mapTable(headers, toJson));
}

/** Throws if they are not headers. */
export function parseHeaders(text: string | null): MessageHeaders {
  if (text === null) return NO_HEADERS;
  const headers: unknown = JSON.parse(text);
  if (!isTable(headers)) throw unreadable('headers', text);
  for (const name in headers) {
    if (typeof headers[name] !== 'string') return Object.freeze(mapTable(headers, fromJson));
  }
  return Object.freeze(headers as MessageHeaders);
}

function toJson(value: HeaderValue): unknown {
  if (typeof value === 'bigint') return { $int64: String(value) };
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') };
  if (isList(value)) return value.map(toJson);
  const table = mapTable(value, toJson);
  return isTagged(value) ? { $table: table } : table;
}

/** Throws for a tag that is not known. */
function fromJson(value: unknown): HeaderValue {
  if (Array.isArray(value)) return value.map(fromJson);
  if (!isTable(value)) return value as HeaderValue;
  if (!isTagged(value)) return mapTable(value, fromJson);
  const { $int64, $date, $bytes, $table } = value;
  if (typeof $int64 === 'string') return BigInt($int64);
  if (typeof $bytes === 'string') return new Uint8Array(Buffer.from($bytes, 'base64'));
  if (isTable($table)) return mapTable($table, fromJson);
  const date = new Date(typeof $date === 'string' ? $date : Number.NaN);
  if (Number.isNaN(date.getTime())) throw unreadable('header', JSON.stringify(value));
  return date;
}

function isTagged(table: object): boolean {
  const [name, ...others] = Object.keys(table);
  return name?.startsWith('$') === true && others.length === 0;
}

function mapTable<V, W>(table: Readonly<Record<string, V>>, map: (value: V) => W): Record<string, W> {
  // Own properties of any name, including `__proto__`, are kept.
  return Object.fromEntries(Object.entries(table).map(([name, value]) => [name, map(value)]));
}

/** Rarely used properties. */
type Properties = Pick<
  Message,
  'correlationId' | 'replyTo' | 'type' | 'appId' | 'userId' | 'contentEncoding' | 'persistent' | 'origin'
>;

const TEXTS = ['correlationId', 'replyTo', 'type', 'appId', 'userId', 'contentEncoding'] as const;

/** The last properties and their text: most messages that have any come in runs, as events of one name do. */
let last: { readonly properties: Properties; readonly text: string } | undefined;

/** Null: none. */
export function propertiesText(message: Message): string | null {
  const { correlationId, replyTo, type, appId, userId, contentEncoding, persistent, origin } = message;
  const hasText =
    correlationId !== undefined ||
    replyTo !== undefined ||
    type !== undefined ||
    appId !== undefined ||
    userId !== undefined ||
    contentEncoding !== undefined;
  if (!hasText && persistent !== false && origin === undefined) return null;
  if (last !== undefined && areSame(last.properties, message)) return last.text;
  const properties: Properties = {
    correlationId,
    replyTo,
    type,
    appId,
    userId,
    contentEncoding,
    persistent: persistent === false ? persistent : undefined,
    origin: origin && { exchange: origin.exchange, routingKey: origin.routingKey },
  };
  const text = JSON.stringify(properties);
  last = { properties, text };
  return text;
}

function areSame(one: Properties, other: Properties): boolean {
  return (
    one.correlationId === other.correlationId &&
    one.replyTo === other.replyTo &&
    one.type === other.type &&
    one.appId === other.appId &&
    one.userId === other.userId &&
    one.contentEncoding === other.contentEncoding &&
    (one.persistent === false) === (other.persistent === false) &&
    one.origin?.exchange === other.origin?.exchange &&
    one.origin?.routingKey === other.origin?.routingKey
  );
}

/** Throws if they are not properties. */
export function parseProperties(text: string | null): Partial<Properties> | undefined {
  if (text === null) return undefined;
  const properties: unknown = JSON.parse(text);
  if (!isTable(properties)) throw unreadable('properties', text);
  for (const name of TEXTS) {
    if (!['string', 'undefined'].includes(typeof properties[name])) throw unreadable('properties', text);
  }
  const { origin } = properties;
  const isOrigin =
    isTable(origin) && [origin.exchange, origin.routingKey].every((text) => typeof text === 'string');
  if (origin !== undefined && !isOrigin) throw unreadable('properties', text);
  return properties;
}

function unreadable(what: string, text: string): TypeError {
  return new TypeError(`the ${what} of the message can't be read: ${text.slice(0, 100)}`);
}
