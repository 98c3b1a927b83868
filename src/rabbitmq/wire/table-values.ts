/** The values of AMQP 0-9-1 tables (4.2.5.5), with the tags of https://www.rabbitmq.com/amqp-0-9-1-errata#section_3. */
import type { HeaderValue } from '../../broker.js';
import { isList, setField } from '../../common/message/headers.js';
import { asShortString } from './frames.js';

/** Bytes that are not a table. */
export class MalformedFrame extends Error {}

/** Where a value that starts with its tag ends. */
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

interface NumberType {
  /** As amqplib calls it. */
  readonly name: string;
  readonly size: number;
  readonly read: (bytes: Buffer, at: number) => number | bigint;
}

const NUMBERS: Readonly<Record<string, NumberType>> = {
  b: { name: 'int8', size: 1, read: (bytes, at) => bytes.readInt8(at) },
  B: { name: 'uint8', size: 1, read: (bytes, at) => bytes.readUInt8(at) },
  s: { name: 'int16', size: 2, read: (bytes, at) => bytes.readInt16BE(at) },
  u: { name: 'uint16', size: 2, read: (bytes, at) => bytes.readUInt16BE(at) },
  I: { name: 'int32', size: 4, read: (bytes, at) => bytes.readInt32BE(at) },
  i: { name: 'uint32', size: 4, read: (bytes, at) => bytes.readUInt32BE(at) },
  l: { name: 'int64', size: 8, read: (bytes, at) => bytes.readBigInt64BE(at) },
  f: { name: 'float', size: 4, read: (bytes, at) => bytes.readFloatBE(at) },
  d: { name: 'double', size: 8, read: (bytes, at) => bytes.readDoubleBE(at) },
};

/** How many bytes a value has, by its tag. */
const FIXED_SIZES: readonly (number | undefined)[] = sizes({
  ...Object.fromEntries(Object.entries(NUMBERS).map(([tag, { size }]) => [tag, size])),
  t: 1,
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

/** The representation of values without a single JavaScript type. */
export interface ValueReader<T> {
  number(value: number | bigint, type: string): T;
  /** A number of `digits / 10 ** places`. */
  decimal(digits: number, places: number): T;
  timestamp(seconds: bigint): T;
  /** A view of the bytes that are read. */
  bytes(bytes: Buffer): T;
}

/** A value that a reader creates, or another one that tables hold. */
export type Read<T> = T | string | boolean | null | Read<T>[] | { [name: string]: Read<T> };

/** Reads the value between its tag and `end`, as {@link endOfValue} has found it. Throws for malformed bytes. */
export function readValue<T>(
  bytes: Buffer,
  tagAt: number,
  end: number,
  depth: number,
  reader: ValueReader<T>,
): Read<T> {
  const at = tagAt + 1;
  const tag = String.fromCharCode(bytes[tagAt] as number);
  switch (tag) {
    case 'S':
      return bytes.toString('utf8', at + 4, end);
    case 't':
      return bytes[at] !== 0;
    case 'D':
      return reader.decimal(bytes.readUInt32BE(at + 1), bytes[at] as number);
    case 'T':
      return reader.timestamp(bytes.readBigUInt64BE(at));
    case 'V':
      return null;
    case 'x':
      return reader.bytes(bytes.subarray(at + 4, end));
    case 'A':
      return readList(bytes, at + 4, end, depth - 1, reader);
    case 'F':
      return readTable(bytes, at + 4, end, depth - 1, reader);
    default: {
      const { name, read } = NUMBERS[tag] as NumberType;
      return reader.number(read(bytes, at), name);
    }
  }
}

function readList<T>(
  bytes: Buffer,
  start: number,
  end: number,
  depth: number,
  reader: ValueReader<T>,
): Read<T>[] {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  const list: Read<T>[] = [];
  for (let at = start; at < end; ) {
    const valueEnd = endOfValue(bytes, at, end);
    list.push(readValue(bytes, at, valueEnd, depth, reader));
    at = valueEnd;
  }
  return list;
}

function readTable<T>(
  bytes: Buffer,
  start: number,
  end: number,
  depth: number,
  reader: ValueReader<T>,
): { [name: string]: Read<T> } {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  const table: { [name: string]: Read<T> } = {};
  for (let at = start; at < end; ) {
    const tagAt = at + 1 + (bytes[at] as number);
    const valueEnd = endOfValue(bytes, tagAt, end);
    const name = asShortString(bytes.toString('utf8', at + 1, tagAt));
    setField(table, name, readValue(bytes, tagAt, valueEnd, depth, reader));
    at = valueEnd;
  }
  return table;
}

/** Values as handlers get them. */
const VALUES: ValueReader<HeaderValue> = {
  number: (value) => (typeof value === 'bigint' ? plain(value) : value),
  decimal: (digits, places) => digits / 10 ** places,
  timestamp,
  // Copied: the bytes of the connection are kept no longer than its messages.
  bytes: (bytes) => new Uint8Array(bytes),
};

/** A value as handlers get it. Throws for malformed bytes. */
export function decode(bytes: Buffer, tagAt: number, end: number, depth: number): HeaderValue {
  return readValue(bytes, tagAt, end, depth, VALUES);
}

/** Decodes untrusted bytes: the value is undefined if anything is wrong with them. */
export function guarded<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The latest time that a `Date` can be, in seconds. Some senders write milliseconds, or less. */
const MAX_SECONDS = 8_640_000_000_000n;

function timestamp(seconds: bigint): HeaderValue {
  return seconds <= MAX_SECONDS ? new Date(Number(seconds) * 1000) : plain(seconds);
}

function plain(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Throws for values that a table can't carry. */
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

/** Integers have 32 bits if they fit, otherwise 64; all other numbers are doubles. */
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
