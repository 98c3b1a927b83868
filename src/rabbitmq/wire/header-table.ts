/**
 * The headers of a message as AMQP 0-9-1 carries them: a table of typed fields (4.2.5.5), with the tags of
 * https://www.rabbitmq.com/amqp-0-9-1-errata#section_3. For a message that is moved, the bytes of each field are kept as
 * they came: of the types that are one in JavaScript, such as the eight kinds of integers, none is lost on the way.
 *
 * Anything may stand in a table, so it is decoded to a limited depth: amqplib, which goes to any depth, runs out of stack
 * over a table of 35 kB. amqplib's codec differs otherwise, too. It hands over 64-bit integers without their last digits,
 * timestamps and decimals as `{ '!': type, value }`, and a table that has the name `!` as such a value; it writes the
 * shortest integer that fits, and takes every number from 2^50 on for an integer.
 */
import type { HeaderValue, MessageHeaders } from '../../broker.js';
import { isList, MAX_HEADER_DEPTH } from '../../common/headers.js';
import { asShortString } from './frames.js';

/** What readers get in place of a value that can't be read. */
const UNREADABLE_VALUE = '[unreadable]';

/** Bytes that are no table. */
export class MalformedFrame extends Error {}

/** A field of a table, as it came. */
export interface HeaderField {
  readonly name: string;
  /** The name, the tag and the value. */
  readonly bytes: Buffer;
}

export class HeaderTable {
  /** All values; those that can't be read are {@link UNREADABLE_VALUE}. */
  readonly values: MessageHeaders;
  /** Why a header could not be read; undefined if all could. */
  readonly unreadable: string | undefined;
  /** Whether there are values of other types than text. */
  readonly isTyped: boolean;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;

  /** Reads the table whose fields are between `start` and `end`. Throws {@link MalformedFrame}. */
  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    const values: Record<string, HeaderValue> = {};
    let isTyped = false;
    let unreadable: string | undefined;
    for (let at = start; at < end; ) {
      const tagAt = at + 1 + (bytes[at] as number);
      const valueEnd = endOfValue(bytes, tagAt, end);
      const name = asShortString(bytes.toString('utf8', at + 1, tagAt));
      let value: HeaderValue | undefined;
      if (bytes[tagAt] === 0x53) {
        value = bytes.toString('utf8', tagAt + 5, valueEnd);
      } else {
        isTyped = true;
        value = guarded(() => decode(bytes, tagAt, valueEnd, MAX_HEADER_DEPTH));
        if (value === undefined)
          unreadable = `its header ${JSON.stringify(name.slice(0, 100))} can't be read: it is nested deeper than ${MAX_HEADER_DEPTH} levels, or malformed`;
      }
      set(values, name, value === undefined ? UNREADABLE_VALUE : value);
      at = valueEnd;
    }
    this.values = values;
    this.isTyped = isTyped;
    this.unreadable = unreadable;
  }

  /** Each field as it came, in their order. */
  *fields(): Generator<HeaderField> {
    for (let at = this.#start; at < this.#end; ) {
      const tagAt = at + 1 + (this.#bytes[at] as number);
      const end = endOfValue(this.#bytes, tagAt, this.#end);
      yield {
        name: asShortString(this.#bytes.toString('utf8', at + 1, tagAt)),
        bytes: this.#bytes.subarray(at, end),
      };
      at = end;
    }
  }
}

export const NO_HEADERS = new HeaderTable(Buffer.alloc(0), 0, 0);

/** Whether a reader, here or elsewhere, can be expected to decode the field. */
export function isReadable({ bytes }: HeaderField): boolean {
  const tagAt = 1 + (bytes[0] as number);
  return guarded(() => decode(bytes, tagAt, bytes.length, MAX_HEADER_DEPTH)) !== undefined;
}

/** The field that carries a value. Throws for what no table can carry. */
export function encodeField(name: string, value: HeaderValue): HeaderField {
  return { name, bytes: Buffer.concat([shortString(name), encode(value, MAX_HEADER_DEPTH)]) };
}

/** Where a value ends that begins with its tag. */
export function endOfValue(bytes: Buffer, tagAt: number, limit: number): number {
  const size = tagAt < limit ? FIXED_SIZES[bytes[tagAt] as number] : undefined;
  if (size === undefined) throw new MalformedFrame('a field of a header table has an unknown type');
  let end = tagAt + 1 + size;
  if (size === HAS_LENGTH) {
    if (tagAt + 5 > limit) throw new MalformedFrame('a header table runs over its end');
    end = tagAt + 5 + bytes.readUInt32BE(tagAt + 1);
  }
  if (end > limit) throw new MalformedFrame('a header table runs over its end');
  return end;
}

const HAS_LENGTH = -1;

/** How many bytes a value has, by its tag. */
const FIXED_SIZES: readonly (number | undefined)[] = sizes({
  t: 1,
  b: 1,
  B: 1,
  s: 2,
  u: 2,
  I: 4,
  i: 4,
  l: 8,
  f: 4,
  d: 8,
  D: 5,
  T: 8,
  V: 0,
  S: HAS_LENGTH,
  x: HAS_LENGTH,
  A: HAS_LENGTH,
  F: HAS_LENGTH,
});

function sizes(byTag: Readonly<Record<string, number>>): (number | undefined)[] {
  const all = new Array<number | undefined>(256).fill(undefined);
  for (const [tag, size] of Object.entries(byTag)) all[tag.charCodeAt(0)] = size;
  return all;
}

/** Decodes untrusted bytes: the value is undefined if anything is wrong with them. */
export function guarded<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function decode(bytes: Buffer, tagAt: number, end: number, depth: number): HeaderValue {
  const at = tagAt + 1;
  switch (String.fromCharCode(bytes[tagAt] as number)) {
    case 'S':
      return bytes.toString('utf8', at + 4, end);
    case 't':
      return bytes[at] !== 0;
    case 'b':
      return bytes.readInt8(at);
    case 'B':
      return bytes.readUInt8(at);
    case 's':
      return bytes.readInt16BE(at);
    case 'u':
      return bytes.readUInt16BE(at);
    case 'I':
      return bytes.readInt32BE(at);
    case 'i':
      return bytes.readUInt32BE(at);
    case 'l':
      return plain(bytes.readBigInt64BE(at));
    case 'f':
      return bytes.readFloatBE(at);
    case 'd':
      return bytes.readDoubleBE(at);
    case 'D':
      return bytes.readUInt32BE(at + 1) / 10 ** (bytes[at] as number);
    case 'T':
      return timestamp(bytes.readBigUInt64BE(at));
    case 'V':
      return null;
    case 'x':
      // Copied: the bytes of the connection are kept no longer than its messages.
      return new Uint8Array(bytes.subarray(at + 4, end));
    case 'A':
      return decodeList(bytes, at + 4, end, depth - 1);
    default:
      return decodeTable(bytes, at + 4, end, depth - 1);
  }
}

function decodeList(bytes: Buffer, start: number, end: number, depth: number): HeaderValue[] {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  const list: HeaderValue[] = [];
  for (let at = start; at < end; ) {
    const valueEnd = endOfValue(bytes, at, end);
    list.push(decode(bytes, at, valueEnd, depth));
    at = valueEnd;
  }
  return list;
}

function decodeTable(
  bytes: Buffer,
  start: number,
  end: number,
  depth: number,
): Readonly<Record<string, HeaderValue>> {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  const table: Record<string, HeaderValue> = {};
  for (let at = start; at < end; ) {
    const tagAt = at + 1 + (bytes[at] as number);
    const valueEnd = endOfValue(bytes, tagAt, end);
    set(table, asShortString(bytes.toString('utf8', at + 1, tagAt)), decode(bytes, tagAt, valueEnd, depth));
    at = valueEnd;
  }
  return table;
}

/** The latest time that a `Date` can be, in seconds. Some senders write milliseconds, or less. */
const MAX_SECONDS = 8_640_000_000_000n;

function timestamp(seconds: bigint): HeaderValue {
  return seconds <= MAX_SECONDS ? new Date(Number(seconds) * 1000) : plain(seconds);
}

/** The name `__proto__` is a field like any other. */
export function set<T>(table: Record<string, T>, name: string, value: T): void {
  if (name !== '__proto__') table[name] = value;
  else Object.defineProperty(table, name, { value, enumerable: true, writable: true, configurable: true });
}

function plain(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Throws for what no table can carry. */
export function encode(value: HeaderValue, depth: number): Buffer {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  if (value === null) return Buffer.from('V');
  if (typeof value === 'string') return withLength('S', Buffer.from(value));
  if (typeof value === 'boolean') return Buffer.from([0x74, value ? 1 : 0]);
  if (typeof value === 'number') return encodeNumber(value);
  if (typeof value === 'bigint') return encodeInt64(value);
  if (value instanceof Date) return encodeTimestamp(BigInt(Math.floor(value.getTime() / 1000)));
  if (value instanceof Uint8Array) return withLength('x', value);
  if (isList(value)) return withLength('A', Buffer.concat(value.map((each) => encode(each, depth - 1))));
  const fields = Object.entries(value).flatMap(([name, each]) => [
    shortString(name),
    encode(each, depth - 1),
  ]);
  return withLength('F', Buffer.concat(fields));
}

/** Integers have 32 bits where they fit, and 64 elsewhere; all other numbers are doubles. */
function encodeNumber(value: number): Buffer {
  const bytes = Buffer.alloc(9);
  if (!Number.isSafeInteger(value)) {
    bytes.write('d');
    bytes.writeDoubleBE(value, 1);
    return bytes;
  }
  if (value >= -(2 ** 31) && value < 2 ** 31) {
    bytes.write('I');
    bytes.writeInt32BE(value, 1);
    return bytes.subarray(0, 5);
  }
  return encodeInt64(BigInt(value));
}

function encodeInt64(value: bigint): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.write('l');
  bytes.writeBigInt64BE(value, 1);
  return bytes;
}

export function encodeTimestamp(seconds: bigint): Buffer {
  const bytes = Buffer.alloc(9);
  bytes.write('T');
  bytes.writeBigUInt64BE(seconds, 1);
  return bytes;
}

export function withLength(tag: string, value: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.write(tag);
  head.writeUInt32BE(value.length, 1);
  return Buffer.concat([head, value]);
}

export function shortString(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new RangeError('a name has at most 255 bytes');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}
