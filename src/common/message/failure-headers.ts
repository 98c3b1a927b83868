/**
 * The headers in which a message carries how its attempts failed. They are the same on every backend, and text, so that
 * other clients and RabbitMQ's own page can show them:
 *
 *   x-millrace-failures   [{"attempt":1,"at":"2026-01-31T09:14:03.000Z","host":"web-1","pid":4711,"error":"no licence"}]
 *   x-millrace-stack      Error: no licence
 *                             at place (file:///srv/orders.js:12:9)
 */
import { hostname } from 'node:os';
import type { DeadLetterCode, Failure, HeaderValue, MessageHeaders } from '../../broker.js';
import { headersBytes, isTable, MAX_HEADERS_BYTES } from './headers.js';

export const ERROR = 'x-millrace-error';
export const FIRST_ERROR = 'x-millrace-first-error';
export const FAILURES = 'x-millrace-failures';
export const STACK = 'x-millrace-stack';

/** Bytes of UTF-8. */
export const MAX_STACK_BYTES = 4096;

/** The first failure and the last nine. */
const MAX_FAILURES = 10;

/** The header `x-millrace-failures`, in bytes. A text may take more in JSON than by itself. */
const MAX_FAILURES_BYTES = 4096;
const MAX_ERROR_BYTES = 200;
/** What is left of the first and the last error where there is hardly any room. */
const MIN_ERROR_BYTES = 100;
const MAX_HOST_BYTES = 64;

/** Longer texts were not written by the toolkit, and are not parsed. UTF-16 code units. */
const MAX_READ_LENGTH = 16_384;

/** Failures that no handler caused: they leave the stack of the error before them. */
const WITHOUT_HANDLER: readonly DeadLetterCode[] = ['expired', 'delivery-limit', 'damaged'];

/** How one attempt failed, as the headers of a retried message and of a dead letter say. */
export interface AttemptFailure {
  /** The number of the attempt, from 1. */
  readonly attempt: number;
  /** When it failed, ISO 8601. */
  readonly at: string;
  /** The text of its error. At most 200 bytes of UTF-8. */
  readonly error: string;
  /** The name of the machine on which it failed; undefined if unknown. */
  readonly host: string | undefined;
  /** The id of the process in which it failed; undefined if unknown. */
  readonly pid: number | undefined;
}

/** The headers with a further failure. */
export function withFailure(
  headers: MessageHeaders,
  attempt: number,
  { code, error, stack, at }: Failure,
): Record<string, HeaderValue> {
  const { [FAILURES]: _, [STACK]: __, ...others } = headers;
  const failure = JSON.stringify({
    attempt,
    at: new Date(isTime(at) ? at : Date.now()).toISOString(),
    host: host(),
    pid: process.pid,
    error: cutToBytes(error, MAX_ERROR_BYTES),
  });
  const all: Record<string, HeaderValue> = { ...others, [FAILURES]: append(headers[FAILURES], failure) };
  const kept = stack ?? (WITHOUT_HANDLER.includes(code) ? stackIn(headers) : undefined);
  if (kept !== undefined) all[STACK] = cutToBytes(kept, MAX_STACK_BYTES);
  return all;
}

/**
 * The same headers if they fit into a header table; otherwise without the stack, and if necessary without the failures,
 * and with only the beginnings of the first and the last error.
 */
export function fitting(headers: Record<string, HeaderValue>): Record<string, HeaderValue> {
  if (headersFit(headers)) return headers;
  const { [STACK]: _, ...withoutStack } = headers;
  if (headersFit(withoutStack)) return withoutStack;
  const { [FAILURES]: __, ...others } = withoutStack;
  if (headersFit(others)) return others;
  for (const name of [FIRST_ERROR, ERROR]) {
    const error = others[name];
    if (typeof error === 'string') others[name] = cutToBytes(error, MIN_ERROR_BYTES);
  }
  return others;
}

/** Whether headers fit into a header table. */
export function headersFit(headers: MessageHeaders): boolean {
  return areSmall(headers) || headersBytes(headers) <= MAX_HEADERS_BYTES;
}

/** The failures in the headers of a message, oldest first; none if the toolkit did not write them. Never throws. */
export function failuresIn(headers: MessageHeaders): readonly AttemptFailure[] {
  return parse(headers[FAILURES]).map(({ attempt, at, error, host, pid }) => ({
    attempt,
    at: new Date(at).toISOString(),
    error: cutToBytes(error, MAX_ERROR_BYTES),
    host: typeof host === 'string' ? cutToBytes(host, MAX_HOST_BYTES) : undefined,
    pid: isCount(pid) ? pid : undefined,
  }));
}

/** The stack in the headers of a message. Any client may have written it. */
export function stackIn(headers: MessageHeaders): string | undefined {
  const stack = headers[STACK];
  return typeof stack === 'string' && stack !== '' ? cutToBytes(stack, MAX_STACK_BYTES) : undefined;
}

/**
 * The stack of the error that a dead letter ended with. Versions that write no stack leave that of an earlier attempt.
 */
export function stackOfLast(headers: MessageHeaders, reason: string, attempts: number): string | undefined {
  const last = failuresIn(headers).at(-1);
  const isOfLast =
    last === undefined ||
    last.attempt === attempts ||
    (WITHOUT_HANDLER as readonly string[]).includes(reason);
  return isOfLast ? stackIn(headers) : undefined;
}

/** The beginning of a text, in at most so many bytes of UTF-8, and well-formed. */
export function cutToBytes(text: string, maxBytes: number): string {
  // A UTF-16 code unit makes at least one byte.
  if (text.length <= maxBytes && isWithin(text, maxBytes)) return text.toWellFormed();
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(maxBytes - 3));
  return `${text.slice(0, read).toWellFormed()}…`;
}

/** An entry as it was written, with the fields that every entry has. */
interface Entry {
  readonly attempt: number;
  readonly at: string;
  readonly error: string;
  readonly host?: unknown;
  readonly pid?: unknown;
}

/** None if not all of them can be read: then the toolkit did not write them. */
function parse(text: HeaderValue | undefined): readonly Entry[] {
  if (typeof text !== 'string' || text.length > MAX_READ_LENGTH) return [];
  try {
    const entries: unknown = JSON.parse(text);
    return Array.isArray(entries) && entries.length <= MAX_FAILURES && entries.every(isEntry) ? entries : [];
  } catch {
    return [];
  }
}

function isEntry(entry: unknown): entry is Entry {
  if (!isTable(entry)) return false;
  const { attempt, at, error } = entry;
  return (
    isCount(attempt) && typeof error === 'string' && typeof at === 'string' && !Number.isNaN(Date.parse(at))
  );
}

/** The text of the list with a further entry. If it is too long, the second is the first to go. */
function append(before: HeaderValue | undefined, failure: string): string {
  const entries = parse(before);
  if (entries.length === 0) return `[${failure}]`;
  const text = `${String(before).trimEnd().slice(0, -1)},${failure}]`;
  if (entries.length < MAX_FAILURES && isWithin(text, MAX_FAILURES_BYTES)) return text;
  const texts = [...entries.map(textOf), failure];
  while (texts.length > 2 && (texts.length > MAX_FAILURES || !isWithin(join(texts), MAX_FAILURES_BYTES))) {
    texts.splice(1, 1);
  }
  // Only an entry of a stranger is that long.
  return isWithin(join(texts), MAX_FAILURES_BYTES) ? join(texts) : `[${failure}]`;
}

/** Without the fields of other clients, which may be nested too deep to be written. */
function textOf({ attempt, at, host, pid, error }: Entry): string {
  return JSON.stringify({
    attempt,
    at,
    host: typeof host === 'string' ? host : undefined,
    pid: isCount(pid) ? pid : undefined,
    error,
  });
}

function join(texts: readonly string[]): string {
  return `[${texts.join(',')}]`;
}

function isWithin(text: string, maxBytes: number): boolean {
  // A UTF-16 code unit makes at most three bytes.
  return text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes;
}

/** Whether all values are text, and so short that their bytes need not be counted. */
function areSmall(headers: MessageHeaders): boolean {
  let units = 0;
  for (const name in headers) {
    const value = headers[name];
    if (typeof value !== 'string') return false;
    units += name.length + value.length + 2;
  }
  return units * 3 <= MAX_HEADERS_BYTES;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1;
}

function isTime(at: number | undefined): at is number {
  return at !== undefined && Math.abs(at) <= 8.64e15;
}

let hostName: string | undefined;

function host(): string {
  hostName ??= cutToBytes(hostname(), MAX_HOST_BYTES);
  return hostName;
}
