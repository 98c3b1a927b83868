/**
 * Messages in amqplib's notation, for connections whose frames it reads and writes itself: header values without a
 * JavaScript type are `{ '!': type, value }`.
 */
import type { ConsumeMessage } from 'amqplib';
import { MAX_HEADER_DEPTH } from '../../common/message/headers.js';
import type { ReceivedMessage } from './amqp-message.js';
import { asShortString } from './frames.js';
import { type HeaderField, HeaderTable } from './header-table.js';
import {
  encode,
  encodeTimestamp,
  guarded,
  MalformedFrame,
  readValue,
  shortString,
  type ValueReader,
  withLength,
} from './table-values.js';

/** A delivery that amqplib has read. */
export function fromAmqplib({ fields, properties, content }: ConsumeMessage): ReceivedMessage {
  const text = textIn(properties);
  const number = numberIn(properties);
  const { table, lost } = encodeTable(properties.headers ?? {});
  return {
    fields,
    properties: {
      contentType: text('contentType'),
      contentEncoding: text('contentEncoding'),
      deliveryMode: number('deliveryMode'),
      priority: number('priority'),
      correlationId: text('correlationId'),
      replyTo: text('replyTo'),
      expiration: text('expiration'),
      messageId: text('messageId'),
      timestamp: number('timestamp'),
      type: text('type'),
      userId: text('userId'),
      appId: text('appId'),
    },
    headers: table,
    lost: lost.length === 0 ? undefined : lost,
    content,
  };
}

/** A table of the values that amqplib decoded. Those that can't be encoded are left out, and named. */
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

const typed = (type: string, value: unknown) => ({ '!': type, value });

const TYPED: ValueReader<unknown> = {
  number: (value, type) => typed(type, value),
  decimal: (digits, places) => typed('decimal', { places, digits }),
  timestamp: (seconds) => typed('timestamp', seconds),
  bytes: (bytes) => bytes,
};

/** The value that amqplib encodes to the bytes of this field. Undefined if it can't be read. */
export function amqplibValue({ bytes }: HeaderField): unknown {
  const tagAt = 1 + (bytes[0] as number);
  return guarded(() => readValue(bytes, tagAt, bytes.length, MAX_HEADER_DEPTH, TYPED));
}

/** Throws for values that a table can't carry. */
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

function textIn(properties: object): (name: string) => string | undefined {
  return (name) => {
    const value: unknown = (properties as Record<string, unknown>)[name];
    return typeof value === 'string' ? asShortString(value) : undefined;
  };
}

function numberIn(properties: object): (name: string) => number | undefined {
  return (name) => {
    const value: unknown = (properties as Record<string, unknown>)[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  };
}
