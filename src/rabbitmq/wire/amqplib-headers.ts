/**
 * Headers in amqplib's notation, for connections whose frames it reads and writes itself: values that JavaScript has no
 * type of its own for are `{ '!': type, value }`.
 */
import { MAX_HEADER_DEPTH } from '../../common/headers.js';
import {
  encode,
  encodeTimestamp,
  endOfValue,
  guarded,
  type HeaderField,
  HeaderTable,
  MalformedFrame,
  set,
  shortString,
  withLength,
} from './header-table.js';

/** A table of what amqplib decoded. What can't be encoded is left out, and named. */
export function encodeTable(values: Readonly<Record<string, unknown>>): {
  table: HeaderTable;
  lost: string[];
} {
  const lost: string[] = [];
  const fields: Buffer[] = [];
  for (const name of Object.keys(values)) {
    const value = guarded(() => encodeValue(values[name], MAX_HEADER_DEPTH));
    if (value === undefined || Buffer.byteLength(name) > 255) lost.push(name);
    else fields.push(shortString(name), value);
  }
  const bytes = Buffer.concat(fields);
  return { table: new HeaderTable(bytes, 0, bytes.length), lost };
}

/** What amqplib encodes to the bytes of this field. Undefined if it can't be read. */
export function amqplibValue({ bytes }: HeaderField): unknown {
  const tagAt = 1 + (bytes[0] as number);
  return guarded(() => decodeValue(bytes, tagAt, bytes.length, MAX_HEADER_DEPTH));
}

/** Throws for what no table can carry. */
function encodeValue(value: unknown, depth: number): Buffer {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  if (value === undefined) return encode(null, depth);
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value))
    return encode(value as string | number | boolean | Buffer | null, depth);
  if (Array.isArray(value))
    return withLength('A', Buffer.concat(value.map((each) => encodeValue(each, depth - 1))));
  if (Object.hasOwn(value, '!')) return encodeTyped(value as { '!': unknown; value: unknown });
  const fields = Object.entries(value).flatMap(([name, each]) => [
    shortString(name),
    encodeValue(each, depth - 1),
  ]);
  return withLength('F', Buffer.concat(fields));
}

/** The typed values that amqplib hands to readers. */
function encodeTyped({ '!': type, value }: { readonly '!': unknown; readonly value: unknown }): Buffer {
  if (type === 'timestamp') return encodeTimestamp(BigInt.asUintN(64, BigInt(Math.trunc(value as number))));
  if (type !== 'decimal') throw new TypeError('not a type that amqplib reads');
  const { places, digits } = value as { places: number; digits: number };
  const bytes = Buffer.alloc(6);
  bytes.write('D');
  bytes.writeUInt8(places, 1);
  bytes.writeUInt32BE(digits, 2);
  return bytes;
}

function decodeValue(bytes: Buffer, tagAt: number, end: number, depth: number): unknown {
  const at = tagAt + 1;
  const typed = (type: string, value: unknown) => ({ '!': type, value });
  switch (String.fromCharCode(bytes[tagAt] as number)) {
    case 'S':
      return bytes.toString('utf8', at + 4, end);
    case 't':
      return bytes[at] !== 0;
    case 'b':
      return typed('int8', bytes.readInt8(at));
    case 'B':
      return typed('uint8', bytes.readUInt8(at));
    case 's':
      return typed('int16', bytes.readInt16BE(at));
    case 'u':
      return typed('uint16', bytes.readUInt16BE(at));
    case 'I':
      return typed('int32', bytes.readInt32BE(at));
    case 'i':
      return typed('uint32', bytes.readUInt32BE(at));
    case 'l':
      return typed('int64', bytes.readBigInt64BE(at));
    case 'f':
      return typed('float', bytes.readFloatBE(at));
    case 'd':
      return typed('double', bytes.readDoubleBE(at));
    case 'D':
      return typed('decimal', { places: bytes[at], digits: bytes.readUInt32BE(at + 1) });
    case 'T':
      return typed('timestamp', bytes.readBigUInt64BE(at));
    case 'V':
      return null;
    case 'x':
      return bytes.subarray(at + 4, end);
    case 'A':
      return decodeList(bytes, at + 4, end, depth - 1);
    default:
      return decodeTable(bytes, at + 4, end, depth - 1);
  }
}

function decodeList(bytes: Buffer, start: number, end: number, depth: number): unknown[] {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  const list: unknown[] = [];
  for (let at = start; at < end; ) {
    const valueEnd = endOfValue(bytes, at, end);
    list.push(decodeValue(bytes, at, valueEnd, depth));
    at = valueEnd;
  }
  return list;
}

function decodeTable(bytes: Buffer, start: number, end: number, depth: number): object {
  if (depth < 0) throw new MalformedFrame('nested too deeply');
  const table: Record<string, unknown> = {};
  for (let at = start; at < end; ) {
    const tagAt = at + 1 + (bytes[at] as number);
    const valueEnd = endOfValue(bytes, tagAt, end);
    set(table, bytes.toString('utf8', at + 1, tagAt), decodeValue(bytes, tagAt, valueEnd, depth));
    at = valueEnd;
  }
  return table;
}
