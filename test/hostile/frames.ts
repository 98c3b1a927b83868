import { definitions, methodId } from '../support/amqplib-codec.js';
import { methodFrame } from './amqp-server.js';

type Fields = Readonly<Record<string, unknown>>;

export const HEADER_FRAME = 2;
const BODY_FRAME = 3;
const HEAD_BYTES = 7;

/** A frame around whatever bytes. */
export function frame(type: number, channel: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + payload.length + 1);
  bytes[0] = type;
  bytes.writeUInt16BE(channel, 1);
  bytes.writeUInt32BE(payload.length, 3);
  payload.copy(bytes, HEAD_BYTES);
  bytes[bytes.length - 1] = 0xce;
  return bytes;
}

/** A method whose payload is changed after it was encoded. */
export function methodWith(
  channel: number,
  name: string,
  fields: Fields,
  change: (payload: Buffer) => Buffer,
): Buffer {
  const whole = methodFrame(channel, name, fields);
  return frame(1, channel, change(Buffer.from(whole.subarray(HEAD_BYTES, -1))));
}

export function longLong(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

/** A table in a table in a table: the name `a`, the type `F`, and the length of what follows. */
export function nestedTable(depth: number): Buffer {
  const HEAD = 7;
  const bytes = Buffer.alloc(depth * HEAD + 4);
  for (let level = 0; level < depth; level++) {
    const at = level * HEAD;
    bytes.writeUInt32BE(bytes.length - at - 4, at);
    bytes.write('\x01aF', at + 4, 'latin1');
  }
  return bytes;
}

export interface DeliveryParts {
  readonly channel: number;
  readonly consumerTag?: string;
  readonly tag?: bigint;
  readonly body?: string;
  readonly properties?: Fields;
  /** The size that the header announces. Default: that of the body. */
  readonly announced?: bigint;
  /** In place of the frame of the properties. */
  readonly header?: Buffer;
  readonly withoutMethod?: boolean;
}

/** The frames of a delivery that is in order, but for what is asked for. */
export function deliveryWith({
  channel,
  consumerTag = '',
  tag = 1n,
  body = '"hello"',
  properties = {},
  announced,
  header,
  withoutMethod = false,
}: DeliveryParts): Buffer {
  const fields = { consumerTag, deliveryTag: 1, redelivered: false, exchange: '', routingKey: 'queue' };
  const method = methodWith(channel, 'BasicDeliver', fields, (payload) => {
    longLong(tag).copy(payload, 5 + Buffer.byteLength(consumerTag));
    return payload;
  });
  const content = Buffer.from(body);
  const all = { contentType: 'application/json', ...properties };
  const right = definitions.encodeProperties(methodId('BasicProperties'), channel, content.length, all);
  if (announced !== undefined) longLong(announced).copy(right, HEAD_BYTES + 4);
  return Buffer.concat([
    ...(withoutMethod ? [] : [method]),
    header ?? right,
    ...(content.length === 0 ? [] : [frame(BODY_FRAME, channel, content)]),
  ]);
}

export const delivery = {
  /** Where the frame of the method ends. */
  methodEnd: (bytes: Buffer): number => HEAD_BYTES + bytes.readUInt32BE(3) + 1,
};
