import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** amqplib's own codec, which it does not export. */
const require = createRequire(import.meta.url);
const amqplib = join(dirname(require.resolve('amqplib')), 'lib');

type Fields = Readonly<Record<string, unknown>>;

export interface ParsedFrame {
  readonly type: number;
  readonly channel: number;
  readonly payload: Buffer;
  readonly rest: Buffer;
}

export interface DecodedFrame {
  /** Of a method: class and method in one number, as in `definitions`. */
  readonly id?: number;
  readonly channel: number;
  readonly fields?: Fields;
  readonly size?: number;
}

export const definitions: Readonly<Record<string, number>> & {
  encodeMethod(id: number, channel: number, fields: Fields): Buffer;
  encodeProperties(id: number, channel: number, size: number, properties: Fields): Buffer;
  info(id: number): { readonly name: string };
} = require(join(amqplib, 'defs.js'));

export const frames: {
  makeBodyFrame(channel: number, content: Buffer): Buffer;
  /** False where the frame is not all there. Throws where it is none. */
  parseFrame(bytes: Buffer): ParsedFrame | false;
  decodeFrame(frame: ParsedFrame): DecodedFrame;
  readonly PROTOCOL_HEADER: string;
  readonly HEARTBEAT_BUF: Buffer;
} = require(join(amqplib, 'frame.js'));

export function methodId(name: string): number {
  const id = definitions[name];
  if (id === undefined) throw new Error(`AMQP 0-9-1 has no method '${name}'`);
  return id;
}
