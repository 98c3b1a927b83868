/**
 * The headers of a message as AMQP 0-9-1 carries them: a table of typed fields (4.2.5.5), with the tags of
 * https://www.rabbitmq.com/amqp-0-9-1-errata#section_3. Readers get them as text. For a message that is moved, the
 * bytes of each field are kept as they came, so that no type and no digit is lost on the way.
 *
 * Anything may stand in a table. Nested values are skipped by their length and decoded only when they are asked for, to
 * a limited depth: amqplib, which goes to any depth, runs out of stack over a table of 35 kB.
 */

/** A table or list nested deeper than this is not read, and not carried on: readers of other clients would fail. */
const MAX_DEPTH = 32;

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
  /** All values as text: numbers with all their digits, structures as JSON. */
  readonly text: Readonly<Record<string, string>>;
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
    const text: Record<string, string> = {};
    let isTyped = false;
    let unreadable: string | undefined;
    for (let at = start; at < end; ) {
      const tagAt = at + 1 + (bytes[at] as number);
      const valueEnd = endOfValue(bytes, tagAt, end);
      const name = bytes.toString('utf8', at + 1, tagAt);
      let value: string | undefined;
      if (bytes[tagAt] === 0x53) {
        value = bytes.toString('utf8', tagAt + 5, valueEnd);
      } else {
        isTyped = true;
        value = textOf(bytes, tagAt, valueEnd);
        if (value === undefined)
          unreadable = `its header ${JSON.stringify(name.slice(0, 100))} can't be read: it is nested deeper than ${MAX_DEPTH} levels, or malformed`;
      }
      set(text, name, value ?? UNREADABLE_VALUE);
      at = valueEnd;
    }
    this.text = text;
    this.isTyped = isTyped;
    this.unreadable = unreadable;
  }

  /** Each field as it came, in their order. */
  *fields(): Generator<HeaderField> {
    for (let at = this.#start; at < this.#end; ) {
      const tagAt = at + 1 + (this.#bytes[at] as number);
      const end = endOfValue(this.#bytes, tagAt, this.#end);
      yield {
        name: this.#bytes.toString('utf8', at + 1, tagAt),
        bytes: this.#bytes.subarray(at, end),
      };
      at = end;
    }
  }

  /** Decoded as amqplib does it, but for integers beyond 2^53, which are bigints. Undefined if it can't be read. */
  value(name: string): unknown {
    if (!Object.hasOwn(this.text, name)) return undefined;
    let value: unknown;
    for (const field of this.fields()) if (field.name === name) value = readableValue(field);
    return value;
  }
}

export const NO_HEADERS = new HeaderTable(Buffer.alloc(0), 0, 0);

/** Whether a reader, here or elsewhere, can be expected to decode the field. */
export function isReadable(field: HeaderField): boolean {
  return readableValue(field) !== undefined;
}

/** The value of a field in amqplib's notation, with its type: what amqplib encodes to the same bytes. */
export function typedValue({ bytes }: HeaderField): unknown {
  const tagAt = 1 + (bytes[0] as number);
  return guarded(() => decode(bytes, tagAt, bytes.length, MAX_DEPTH, true));
}

function readableValue({ bytes }: HeaderField): unknown {
  const tagAt = 1 + (bytes[0] as number);
  return guarded(() => decode(bytes, tagAt, bytes.length, MAX_DEPTH, false));
}

/** A table of what amqplib decoded, for the messages that it reads. What can't be encoded is left out, and named. */
export function encodeTable(values: Readonly<Record<string, unknown>>): {
  table: HeaderTable;
  lost: string[];
} {
  const lost: string[] = [];
  const fields: Buffer[] = [];
  for (const name of Object.keys(values)) {
    const value = guarded(() => encode(values[name], MAX_DEPTH));
    if (value === undefined || Buffer.byteLength(name) > 255) lost.push(name);
    else fields.push(shortString(name), value);
  }
  const bytes = Buffer.concat(fields);
  return { table: new HeaderTable(bytes, 0, bytes.length), lost };
}

/** Where a value ends that begins with its tag. */
function endOfValue(bytes: Buffer, tagAt: number, limit: number): number {
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

/** Undefined if it can't be read. */
function textOf(bytes: Buffer, tagAt: number, end: number): string | undefined {
  return guarded(() => {
    const value = decode(bytes, tagAt, end, MAX_DEPTH, false);
    if (typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
      return String(value);
    if (Buffer.isBuffer(value)) return value.toString('utf8');
    return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each));
  });
}

/** Decodes untrusted bytes: the value is undefined if anything is wrong with them. */
function guarded<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** `typed`: numbers say their types, in amqplib's notation. */
function decode(bytes: Buffer, tagAt: number, end: number, depth: number, typed: boolean): unknown {
  const at = tagAt + 1;
  const number = (type: string, value: number | bigint) => (typed ? { '!': type, value } : plain(value));
  switch (String.fromCharCode(bytes[tagAt] as number)) {
    case 'S':
      return bytes.toString('utf8', at + 4, end);
    case 't':
      return bytes[at] !== 0;
    case 'b':
      return number('int8', bytes.readInt8(at));
    case 'B':
      return number('uint8', bytes.readUInt8(at));
    case 's':
      return number('int16', bytes.readInt16BE(at));
    case 'u':
      return number('uint16', bytes.readUInt16BE(at));
    case 'I':
      return number('int32', bytes.readInt32BE(at));
    case 'i':
      return number('uint32', bytes.readUInt32BE(at));
    case 'l':
      return number('int64', bytes.readBigInt64BE(at));
    case 'f':
      return number('float', bytes.readFloatBE(at));
    case 'd':
      return number('double', bytes.readDoubleBE(at));
    case 'D':
      return { '!': 'decimal', value: { places: bytes[at] as number, digits: bytes.readUInt32BE(at + 1) } };
    case 'T': {
      const value = bytes.readBigUInt64BE(at);
      return { '!': 'timestamp', value: typed ? value : plain(value) };
    }
    case 'V':
      return null;
    case 'x':
      return typed || depth === MAX_DEPTH ? bytes.subarray(at + 4, end) : bytes.toString('utf8', at + 4, end);
    case 'A':
      return decodeList(bytes, at + 4, end, depth - 1, typed);
    default:
      return decodeTable(bytes, at + 4, end, depth - 1, typed);
  }
}

function decodeList(bytes: Buffer, start: number, end: number, depth: number, typed: boolean): unknown[] {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  const list: unknown[] = [];
  for (let at = start; at < end; ) {
    const valueEnd = endOfValue(bytes, at, end);
    list.push(decode(bytes, at, valueEnd, depth, typed));
    at = valueEnd;
  }
  return list;
}

function decodeTable(bytes: Buffer, start: number, end: number, depth: number, typed: boolean): object {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  const table: Record<string, unknown> = {};
  for (let at = start; at < end; ) {
    const tagAt = at + 1 + (bytes[at] as number);
    const valueEnd = endOfValue(bytes, tagAt, end);
    set(table, bytes.toString('utf8', at + 1, tagAt), decode(bytes, tagAt, valueEnd, depth, typed));
    at = valueEnd;
  }
  return table;
}

/** The name `__proto__` is a field like any other. */
function set<T>(table: Record<string, T>, name: string, value: T): void {
  if (name !== '__proto__') table[name] = value;
  else Object.defineProperty(table, name, { value, enumerable: true, writable: true, configurable: true });
}

function plain(value: number | bigint): number | bigint {
  return typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Throws for what no table can carry. */
function encode(value: unknown, depth: number): Buffer {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  if (value === null || value === undefined) return Buffer.from('V');
  if (typeof value === 'string') return withLength('S', Buffer.from(value));
  if (typeof value === 'boolean') return Buffer.from([0x74, value ? 1 : 0]);
  if (typeof value === 'number') return encodeNumber(value);
  if (Buffer.isBuffer(value)) return withLength('x', value);
  if (Array.isArray(value))
    return withLength('A', Buffer.concat(value.map((each) => encode(each, depth - 1))));
  if (Object.hasOwn(value as object, '!')) return encodeTyped(value as { '!': unknown; value: unknown });
  const fields = Object.entries(value as object).flatMap(([name, each]) => [
    shortString(name),
    encode(each, depth - 1),
  ]);
  return withLength('F', Buffer.concat(fields));
}

/** The types that amqplib would choose, but for large numbers, which it takes for integers whatever they are. */
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
  bytes.write('l');
  bytes.writeBigInt64BE(BigInt(value), 1);
  return bytes;
}

/** The typed values that amqplib hands to readers. */
function encodeTyped({ '!': type, value }: { readonly '!': unknown; readonly value: unknown }): Buffer {
  const bytes = Buffer.alloc(9);
  if (type === 'timestamp') {
    bytes.write('T');
    bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(Math.trunc(value as number))), 1);
    return bytes;
  }
  if (type !== 'decimal') throw new TypeError('not a type that amqplib reads');
  const { places, digits } = value as { places: number; digits: number };
  bytes.write('D');
  bytes.writeUInt8(places, 1);
  bytes.writeUInt32BE(digits, 2);
  return bytes.subarray(0, 6);
}

function withLength(tag: string, value: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(tag);
  head.writeUInt32BE(value.length, 1);
  return Buffer.concat([head, value]);
}

function shortString(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new RangeError('a name has at most 255 bytes');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}
