/** Header values: their types, how they are copied, and how they are shown. */
import { isUtf8 } from 'node:buffer';
import type { HeaderValue, MessageHeaders } from '../../broker.js';

/** The maximum nesting of lists and tables: other clients fail over deeper ones. */
export const MAX_HEADER_DEPTH = 32;

/** The maximum size of all headers of a message in AMQP 0-9-1: amqplib has this limit as well. */
export const MAX_HEADERS_BYTES = 65_536;

/** AMQP 0-9-1 carries a name as a short string. */
const MAX_NAME_BYTES = 255;

const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);

/** Names that no backend takes, and why: a message is to mean the same wherever it is sent. */
const REFUSED_NAMES: ReadonlyMap<string, string> = new Map([
  ['CC', 'by which RabbitMQ routes to further queues'],
  ['BCC', 'by which RabbitMQ routes to further queues'],
  ['__proto__', 'which clients written in JavaScript lose'],
]);

/** The fault of a header. `where` names it, as in `headers["a"][0]`. */
export type HeaderFault = (where: string, expected: string, got: unknown) => Error;

/**
 * Copies headers that a program has passed, so that it can't change them later, in the form in which they arrive on every
 * backend. Throws what `fault` returns.
 */
export function copyHeaders(headers: MessageHeaders, fault: HeaderFault): MessageHeaders {
  if (!isTable(headers)) throw fault('headers', 'an object with a value for each header', headers);
  const copy: Record<string, HeaderValue> = {};
  for (const name of Object.keys(headers)) {
    checkHeaderName(name, fault);
    setField(copy, name, copyValue(headers[name], { fault, where: () => inside('headers', name) }, 0));
  }
  return copy;
}

/** Throws what `fault` returns for the name of a header that is special to a broker or to the language, or too long. */
export function checkHeaderName(name: string, fault: HeaderFault): void {
  // A UTF-16 code unit makes at most three bytes.
  if (name === '' || (name.length * 3 > MAX_NAME_BYTES && Buffer.byteLength(name) > MAX_NAME_BYTES))
    throw fault('headers', `headers with names of 1 to ${MAX_NAME_BYTES} bytes`, name);
  const why = REFUSED_NAMES.get(name);
  if (why !== undefined) throw fault('headers', `a name other than ${name}, ${why}`, name);
}

/** Throws what `fault` returns for headers that can't be sent. Cheap if all of them are text. */
export function checkHeaders(headers: MessageHeaders, fault: HeaderFault): void {
  for (const name in headers) {
    const value = headers[name];
    if (typeof value === 'string') continue;
    copyValue(value, { fault, where: () => inside('headers', name) }, 0);
  }
}

/** A copy of the headers for one reader, who may change nested values; the object itself if there are none. */
export function shareHeaders(headers: MessageHeaders): MessageHeaders {
  for (const name in headers) {
    const value = headers[name];
    if (typeof value !== 'object' || value === null) continue;
    return Object.freeze(structuredClone(headers));
  }
  return headers;
}

interface Place {
  readonly fault: HeaderFault;
  readonly where: () => string;
}

function copyValue(value: unknown, place: Place, depth: number): HeaderValue {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (!Number.isFinite(value)) throw place.fault(place.where(), 'a finite number', value);
      // Zero has no sign in JSON, nor as an AMQP integer.
      return value === 0 ? 0 : value;
    case 'bigint':
      if (value > MAX_INT64 || value < MIN_INT64)
        throw place.fault(place.where(), 'an integer of 64 bits', value);
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    case 'object':
      return copyObject(value, place, depth);
    default:
      throw place.fault(place.where(), EXPECTED, value);
  }
}

const EXPECTED =
  'text, a number, a boolean, a bigint, a Date, bytes, null, or a list or plain object of these';

function copyObject(value: object | null, place: Place, depth: number): HeaderValue {
  if (value === null) return null;
  if (value instanceof Date) return copyDate(value, place);
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (depth === MAX_HEADER_DEPTH)
    throw place.fault(place.where(), `at most ${MAX_HEADER_DEPTH} levels of lists and objects`, value);
  const { fault, where } = place;
  if (Array.isArray(value)) {
    // Not `map`, which skips holes.
    return Array.from(value, (each, index) =>
      copyValue(each, { fault, where: () => `${where()}[${index}]` }, depth + 1),
    );
  }
  if (!isTable(value)) throw fault(where(), EXPECTED, value);
  const copy: Record<string, HeaderValue> = {};
  for (const name of Object.keys(value)) {
    const inner = { fault, where: () => inside(where(), name) };
    if (Buffer.byteLength(name) > MAX_NAME_BYTES || !name.isWellFormed())
      throw fault(where(), `well-formed names of at most ${MAX_NAME_BYTES} bytes`, name);
    setField(copy, name, copyValue(value[name], inner, depth + 1));
  }
  return copy;
}

function copyDate(value: Date, { fault, where }: Place): Date {
  const seconds = Math.floor(value.getTime() / 1000);
  if (!(seconds >= 0)) throw fault(where(), 'a date from 1970 on', value);
  return new Date(seconds * 1000);
}

/** Whether it is a plain object, not an instance of a class. */
export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function inside(where: string, name: string): string {
  return `${where}[${JSON.stringify(name)}]`;
}

/** Sets a field, treating the name `__proto__` like any other. */
export function setField<T>(table: Record<string, T>, name: string, value: T): void {
  if (name !== '__proto__') table[name] = value;
  else Object.defineProperty(table, name, { value, enumerable: true, writable: true, configurable: true });
}

/** How many bytes headers take in AMQP 0-9-1. */
export function headersBytes(headers: MessageHeaders): number {
  let bytes = 4;
  for (const name of Object.keys(headers)) {
    bytes += 1 + Buffer.byteLength(name) + valueBytes(headers[name] as HeaderValue);
  }
  return bytes;
}

function valueBytes(value: HeaderValue): number {
  if (typeof value === 'string') return 5 + Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null || value instanceof Date) return 9;
  if (value instanceof Uint8Array) return 5 + value.byteLength;
  if (isList(value)) return value.reduce((bytes: number, each) => bytes + valueBytes(each), 5);
  return 1 + headersBytes(value);
}

/** TypeScript does not distinguish read-only lists from other objects. */
export function isList(value: HeaderValue): value is readonly HeaderValue[] {
  return Array.isArray(value);
}

/**
 * Headers in a readable form that JSON can carry: dates as ISO 8601, integers beyond 2^53 as digits, bytes as text if they
 * are UTF-8 and as `{ base64 }` otherwise.
 */
export function showHeaders(headers: MessageHeaders): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, showValue(value)]));
}

/** One value, in the form of {@link showHeaders}. */
export function showValue(value: HeaderValue): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return isUtf8(bytes) ? bytes.toString('utf8') : { base64: bytes.toString('base64') };
  }
  return isList(value) ? value.map(showValue) : showHeaders(value);
}

/** Whether all text is well-formed: UTF-8 can't carry a lone surrogate, so a different text would arrive. */
export function isWellFormed(value: HeaderValue): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null || value instanceof Date) return true;
  if (value instanceof Uint8Array) return true;
  return isList(value) ? value.every(isWellFormed) : Object.values(value).every(isWellFormed);
}
