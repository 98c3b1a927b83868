import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ConsumeMessage } from 'amqplib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ReceivedMessage } from '../../../src/rabbitmq/wire/amqp-message.js';
import { fromAmqplib } from '../../../src/rabbitmq/wire/amqplib-message.js';
import { DeliveryFrames } from '../../../src/rabbitmq/wire/delivery-frames.js';
import { MalformedFrame } from '../../../src/rabbitmq/wire/table-values.js';

/** amqplib's own codec, which it does not export. */
const require = createRequire(import.meta.url);
const amqplib = join(dirname(require.resolve('amqplib')), 'lib');
const { encodeMethod, encodeProperties, BasicDeliver, BasicProperties, BasicAck } = require(
  join(amqplib, 'defs.js'),
);
const { makeBodyFrame, parseFrame, decodeFrame } = require(join(amqplib, 'frame.js'));

interface Sent {
  readonly channel: number;
  readonly fields: ConsumeMessage['fields'];
  readonly properties: object;
  readonly content: Buffer;
}

function framesOf({ channel, fields, properties, content }: Sent): Buffer {
  return Buffer.concat([
    encodeMethod(BasicDeliver, channel, fields),
    encodeProperties(BasicProperties, channel, content.length, properties),
    ...(content.length === 0 ? [] : [makeBodyFrame(channel, content)]),
  ]);
}

function readByAmqplib(bytes: Buffer): ReceivedMessage {
  const method = parseFrame(bytes, 0);
  const header = parseFrame(method.rest, 0);
  const body = parseFrame(header.rest, 0);
  return fromAmqplib({
    fields: decodeFrame(method).fields,
    properties: decodeFrame(header).fields,
    content: body === false ? Buffer.alloc(0) : body.payload,
  } as ConsumeMessage);
}

/** What both ways of reading have to agree on: amqplib forgets the types of numbers. */
function essence({ fields, properties, headers, content }: ReceivedMessage) {
  return { fields, properties, headers: headers.values, content };
}

const shortString = fc.string({ unit: 'binary', maxLength: 60 });
const property = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const fields = fc.record({
  consumerTag: shortString,
  deliveryTag: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  redelivered: fc.boolean(),
  exchange: shortString,
  routingKey: shortString,
});
const headers = fc.dictionary(
  shortString.filter((name) => name !== '__proto__'),
  fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.boolean(),
    fc.integer(),
    fc.integer({ min: -(2 ** 52), max: 2 ** 52 }),
  ),
);
const properties = fc.record({
  contentType: property(shortString),
  contentEncoding: property(shortString),
  headers: property(headers),
  deliveryMode: property(fc.integer({ min: 1, max: 2 })),
  priority: property(fc.integer({ min: 0, max: 255 })),
  correlationId: property(shortString),
  replyTo: property(shortString),
  expiration: property(shortString),
  messageId: property(shortString),
  timestamp: property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })),
  type: property(shortString),
  userId: property(shortString),
  appId: property(shortString),
});
const content = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const sent: fc.Arbitrary<Sent> = fc.record({
  channel: fc.integer({ min: 1, max: 65_535 }),
  fields,
  properties,
  content,
});

const plain: Sent = {
  channel: 1,
  fields: { consumerTag: 'c', deliveryTag: 7, redelivered: false, exchange: '', routingKey: 'hello' },
  properties: { contentType: 'application/json', messageId: 'm', headers: { a: 'b' } },
  content: Buffer.from('"hi"'),
};

describe('deliveries that follow each other', () => {
  test('are read as amqplib reads them', () => {
    const frames = new DeliveryFrames();
    fc.assert(
      fc.property(fc.array(sent, { minLength: 1, maxLength: 5 }), fc.uint8Array(), (messages, before) => {
        const bytes = Buffer.concat([before, ...messages.map(framesOf)]);
        let at = before.length;
        for (const message of messages) {
          expect(frames.isDelivery(bytes, at)).toBe(true);
          const read = frames.read(bytes, at);
          expect(read && essence(read)).toEqual(essence(readByAmqplib(framesOf(message))));
          at = frames.end;
        }
        expect(at).toBe(bytes.length);
        expect(frames.isDelivery(bytes, at)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  test('are left alone as long as a byte of them is missing', () => {
    fc.assert(
      fc.property(sent, fc.nat(), (message, random) => {
        const bytes = framesOf(message);
        const part = bytes.subarray(0, random % bytes.length);
        const frames = new DeliveryFrames();
        if (frames.isDelivery(part, 0)) expect(frames.read(part, 0)).toBe(undefined);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('not read in one go', () => {
  const frames = new DeliveryFrames();

  test('is what is no delivery', () => {
    const bytes = encodeMethod(BasicAck, 1, { deliveryTag: 1, multiple: false });
    expect(frames.isDelivery(bytes, 0)).toBe(false);
  });

  test('is a body in several frames', () => {
    const { channel, fields, properties, content } = plain;
    const bytes = Buffer.concat([
      encodeMethod(BasicDeliver, channel, fields),
      encodeProperties(BasicProperties, channel, 2 * content.length, properties),
      makeBodyFrame(channel, content),
      makeBodyFrame(channel, content),
    ]);
    expect(frames.isDelivery(bytes, 0)).toBe(true);
    expect(frames.read(bytes, 0)).toBe(undefined);
  });

  test.each([0, 1, 2])('is a frame with a wrong end (frame %i)', (frame) => {
    const bytes = framesOf(plain);
    let end = 0;
    for (let i = 0; i <= frame; i++) end += bytes.readUInt32BE(end + 3) + 8;
    bytes[end - 1] = 0;
    expect(frames.read(bytes, 0)).toBe(undefined);
  });

  test('are frames of another channel in between', () => {
    const bytes = framesOf(plain);
    bytes.writeUInt16BE(2, bytes.readUInt32BE(3) + 8 + 1);
    expect(frames.read(bytes, 0)).toBe(undefined);
  });
});

describe('malformed frames', () => {
  test('are refused wherever a field runs over the end of its frame', () => {
    const bytes = framesOf(plain);
    const header = bytes.readUInt32BE(3) + 8;
    // The length of the content type, of the table, of a name and of a value in it, of the message's id.
    const contentType = header + 7 + 14;
    const table = contentType + 1 + 'application/json'.length;
    const lengths = [contentType, table + 3, table + 4, table + 10];
    const frames = new DeliveryFrames();
    for (const at of lengths) {
      const broken = Buffer.from(bytes);
      broken[at] = 255;
      expect(() => frames.read(Buffer.concat([broken, bytes]), 0), `byte ${at}`).toThrow(MalformedFrame);
    }
    // The consumer tag, the exchange and the routing key.
    for (const at of [11, 22, 23]) {
      const broken = Buffer.from(bytes);
      broken[at] = 255;
      expect(() => frames.read(Buffer.concat([broken, bytes, bytes, bytes]), 0), `byte ${at}`).toThrow(
        MalformedFrame,
      );
    }
  });

  test('never make the reader do anything but read, wait or refuse, whatever byte is changed', () => {
    fc.assert(
      fc.property(sent, fc.nat(), fc.nat({ max: 255 }), (message, random, value) => {
        const bytes = framesOf(message);
        bytes[random % bytes.length] = value;
        const frames = new DeliveryFrames();
        if (!frames.isDelivery(bytes, 0)) return;
        try {
          const read = frames.read(Buffer.concat([bytes, framesOf(plain)]), 0);
          if (read !== undefined) expect(frames.end).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedFrame);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
