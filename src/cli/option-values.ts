/** Parses the values of command-line options. An invalid value is a usage error that quotes it. */
import { InvalidArgumentError, Option } from 'commander';
import type { HeaderValue, MessageHeaders } from '../broker.js';
import { MAX_DELAY_MS } from '../common/options.js';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Parses `500ms`, `5s`, `2m`, `1h` or `0` to milliseconds. Undefined if it is invalid, or too long for a timer. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  if (match === null) return undefined;
  const ms = Math.round(Number(match[1]) * (UNITS[match[2] ?? ''] ?? Number.NaN));
  return ms <= MAX_DELAY_MS ? ms : undefined;
}

/** Refuses a number without a unit, which some would read as milliseconds and others as seconds. */
export function durationValue(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  if (/^\d+(\.\d+)?$/.test(text)) {
    throw new InvalidArgumentError(`Add a unit, such as ${text}s or ${text}ms.`);
  }
  throw new InvalidArgumentError('Write a duration of up to 24 days, such as 500ms, 5s, 2m or 1h.');
}

/** Like {@link durationValue}, but refuses 0. */
export function positiveDurationValue(text: string): number {
  const ms = durationValue(text);
  if (ms > 0) return ms;
  throw new InvalidArgumentError('Write a duration of at least 1ms.');
}

/** An option whose value is a duration. `preset`: its default, as a user would write it. */
export function durationOption(
  flags: string,
  description: string,
  preset?: string,
  parse: (text: string) => number = durationValue,
): Option {
  const option = new Option(flags, description).argParser(parse);
  return preset === undefined ? option : option.default(parse(preset), preset);
}

/** Parses `1s,10s`, or `none` for no delays. */
export function delaysValue(text: string): readonly number[] {
  return text === 'none' ? [] : text.split(',').map(durationValue);
}

/** The address where a server listens. */
export interface HttpAddress {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
}

/** `9464`, `0.0.0.0:9464` or `[::1]:9464`. */
export function httpValue(text: string): HttpAddress {
  const [, host = '127.0.0.1', port = ''] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === '' || Number(port) > 65_535)
    throw new InvalidArgumentError('Write a port, such as 9464, or HOST:PORT.');
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

export function integerValue(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Write a whole number ${range}.`);
  };
}

export function oneOrMore(text: string): number {
  return integerValue(1)(text);
}

/** The longest name or routing key that AMQP can carry. */
const MAX_NAME_BYTES = 255;

/** The name of a topic or an exchange. */
export function nameValue(text: string): string {
  if (text !== '' && Buffer.byteLength(text) <= MAX_NAME_BYTES) return text;
  throw new InvalidArgumentError(`Write a name of 1 to ${MAX_NAME_BYTES} bytes.`);
}

/** A routing key, or another property that AMQP limits to this many bytes. */
export function shortTextValue(text: string): string {
  if (Buffer.byteLength(text) <= MAX_NAME_BYTES) return text;
  throw new InvalidArgumentError(`Write at most ${MAX_NAME_BYTES} bytes.`);
}

/**
 * Parses `name:value` and trims the value; after `name:=` the value is JSON, so that it can be other than text. Repeating
 * the option adds to the previous headers.
 */
export function headerValue(text: string, previous: MessageHeaders = {}): MessageHeaders {
  const colon = text.indexOf(':');
  if (colon < 1) throw new InvalidArgumentError("Write 'name:value', or 'name:=json'.");
  const name = text.slice(0, colon).trim();
  const value = text[colon + 1] === '=' ? jsonValue(text.slice(colon + 2)) : text.slice(colon + 1).trim();
  return { ...previous, [name]: value };
}

function jsonValue(text: string): HeaderValue {
  // JSON.parse would lose digits of an integer of 64 bits.
  if (/^\s*-?\d+\s*$/.test(text) && !Number.isSafeInteger(Number(text))) return BigInt(text);
  try {
    return JSON.parse(text) as HeaderValue;
  } catch {
    throw new InvalidArgumentError(
      "Write JSON after ':='. If the text begins with '=', put a space before it.",
    );
  }
}

/** Parses a time: an ISO 8601 date, or a duration for how long ago. */
export function dateValue(text: string): Date {
  // A number without a unit is a year.
  const ago = /[a-z]$/.test(text) ? parseDuration(text) : undefined;
  const date = ago === undefined ? new Date(text) : new Date(Date.now() - ago);
  if (!Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError('Write a time such as 2h (ago), 2026-01-31 or 2026-01-31T12:00Z.');
}

/** Parses a time with its zone: without one it would be another time on another machine. */
export function timeValue(text: string): Date {
  const isComplete = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/i.test(text);
  const date = new Date(isComplete ? text : Number.NaN);
  if (!Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError(
    'Write a time with its zone, such as 2026-12-01T03:00Z or 2026-12-01T04:00+01:00.',
  );
}

export interface ManagementFlags {
  readonly managementUrl?: string;
}

export function managementOption(): Option {
  return new Option(
    '--management-url <url>',
    "the address of RabbitMQ's management API; without a user in it, that of the broker's address",
  ).argParser(managementUrlValue);
}

function managementUrlValue(text: string): string {
  if (URL.canParse(text) && /^https?:/i.test(text)) return text;
  throw new InvalidArgumentError('Write an address such as http://localhost:15672.');
}
