import type { Duplex, Writable } from 'node:stream';
import type { ConfirmChannel, Options } from 'amqplib';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Message } from '../../../src/broker.js';
import { AmqplibInternals } from '../../../src/rabbitmq/connection/amqplib-internals.js';
import { asResent, toWire, type WireMessage } from '../../../src/rabbitmq/wire/amqp-message.js';
import { amqplibValue } from '../../../src/rabbitmq/wire/amqplib-message.js';
import { HeaderTable } from '../../../src/rabbitmq/wire/header-table.js';
import { PublishChannel, type PublishChannelListener } from '../../../src/rabbitmq/wire/publish-channel.js';
import { roomForPublish, writePublish } from '../../../src/rabbitmq/wire/publish-frames.js';
import { rawConnection } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';

/** What amqplib keeps to itself, and is compared with. */
interface Internals {
  readonly ch: number;
  readonly unconfirmed: readonly unknown[];
  readonly connection: { frameMax: number; stream: Duplex; channels: { buffer: Writable }[] };
}

/** Publishes past amqplib. */
function direct(on: ConfirmChannel, listener: Partial<PublishChannelListener> = {}): PublishChannel {
  const internals = new AmqplibInternals(on.connection, true);
  const nothing = { onFull: () => {}, onDrain: () => {}, onAnswer: () => {} };
  return new PublishChannel(on, internals.publishingOn(on), 131_072, { ...nothing, ...listener });
}

let channel: ConfirmChannel;
let internals: Internals;
/** What goes to the stream of the channel's frames, and to the socket, in place of the broker. */
let written: Buffer[];
let room = true;
let stream: Duplex;

beforeAll(async () => {
  channel = await (await rawConnection()).createConfirmChannel();
  internals = channel as unknown as Internals;
  const entry = internals.connection.channels[internals.ch];
  if (entry === undefined) throw new Error('amqplib keeps its channels elsewhere');
  stream = internals.connection.stream;
  for (const each of [entry.buffer, stream]) {
    each.write = (chunk: unknown) => {
      written.push(chunk as Buffer);
      return room;
    };
  }
});

afterAll(() => {
  // So that the connection can be closed.
  Reflect.deleteProperty(stream, 'write');
});

beforeEach(() => {
  written = [];
});

function byAmqplib({ exchange, routingKey, content, options }: WireMessage): Buffer {
  written = [];
  channel.publish(exchange, routingKey, Buffer.from(content as string), options as Options.Publish);
  return Buffer.concat(written);
}

const short = fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: 'binary', maxLength: 60 }));
const text = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 3000, size: 'max' }));
const messages: fc.Arbitrary<Message> = fc.record({
  id: fc.oneof(fc.uuid(), short),
  contentType: short,
  headers: fc.dictionary(short, text, { maxKeys: 6 }),
  body: fc.oneof(text, fc.uint8Array({ maxLength: 20_000, size: 'max' })),
  timestamp: fc.option(fc.maxSafeNat(), { nil: undefined }),
  priority: fc.option(fc.nat({ max: 31 }), { nil: undefined }),
  correlationId: fc.option(short, { nil: undefined }),
  replyTo: fc.option(short, { nil: undefined }),
});
/** What is published to a reply address is not mandatory. */
const addresses = fc.oneof(
  fc.tuple(short, short),
  fc.constant(['', 'amq.rabbitmq.reply-to.g1h2AA'] as const),
);
const wires = fc
  .tuple(addresses, messages, fc.boolean())
  .filter(([, { headers }]) => !['', 'CC', 'BCC', '__proto__'].some((name) => Object.hasOwn(headers, name)))
  .map(([[exchange, routingKey], message, isResent]) => {
    const wire = toWire({ exchange, routingKey }, message);
    return isResent ? { ...wire, options: asResent(wire.options) } : wire;
  });

const plain: Message = { id: 'm1', contentType: 'text/plain', headers: {}, body: 'hello' };
const wire = (parts: Partial<Message>) => toWire({ exchange: '', routingKey: 'q' }, { ...plain, ...parts });

const withHeaders = (headers: WireMessage['options']['headers']): WireMessage => {
  const message = wire({});
  return { ...message, options: { ...message.options, headers } };
};

/** Undefined for headers that are more than a frame carries. */
function roomOf(message: WireMessage, frameMax: number): number | undefined {
  try {
    return roomForPublish(message, frameMax);
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return undefined;
  }
}

describe('the frames of a publish', () => {
  it.each([4096, 5000, 131_072])(
    'are those that amqplib writes, with frames of up to %i bytes',
    (frameMax) => {
      internals.connection.frameMax = frameMax;
      let own = 0;
      fc.assert(
        fc.property(wires, fc.nat({ max: 50 }), (message, at) => {
          const bytes = roomOf(message, frameMax);
          if (bytes === undefined) return;
          own++;
          const block = Buffer.alloc(at + bytes, 0xff);
          const end = writePublish(block, at, message, { channel: internals.ch, frameMax });
          expect(end).toBeLessThanOrEqual(block.length);
          expect(block.subarray(at, end).equals(byAmqplib(message))).toBe(true);
          // Nothing before it is touched.
          expect(block.subarray(0, at).every((octet) => octet === 0xff)).toBe(true);
        }),
        // Many have headers that do not fit into a small frame.
        { numRuns: 300 },
      );
      expect(own).toBeGreaterThan(100);
    },
  );

  it.each([0, 1, 4087, 4088, 4089, 8176, 8177, 100_000])('are those for a body of %i bytes, too', (size) => {
    internals.connection.frameMax = 4096;
    for (const body of [Buffer.alloc(size, 7), 'x'.repeat(size), 'ü'.repeat(size / 2)]) {
      const message = wire({ body });
      const block = Buffer.alloc(roomForPublish(message, 4096) ?? 0);
      const end = writePublish(block, 0, message, { channel: internals.ch, frameMax: 4096 });
      expect(block.subarray(0, end).equals(byAmqplib(message))).toBe(true);
    }
  });

  it('are those that amqplib writes for headers of other types and properties of other clients, too', () => {
    const headers = {
      byte: { '!': 'int8', value: -5 },
      octet: { '!': 'uint8', value: 200 },
      short: { '!': 'int16', value: -300 },
      unsigned: { '!': 'uint16', value: 60_000 },
      int: { '!': 'int32', value: 5 },
      long: { '!': 'int64', value: 9_007_199_254_740_993n },
      float: { '!': 'float', value: 0.5 },
      double: { '!': 'double', value: 1764000000123456.2 },
      decimal: { '!': 'decimal', value: { places: 2, digits: 499 } },
      time: { '!': 'timestamp', value: 1764000000 },
      nothing: null,
      yes: true,
      bytes: Buffer.of(0, 255),
      list: ['a', { '!': 'int32', value: 1 }, ['b']],
      table: { a: { b: { '!': 'int64', value: 1 } } },
    };
    const properties = { contentEncoding: 'gzip', type: 'order', appId: 'shop' };
    const plainWire = wire({});
    const options = { ...plainWire.options, ...properties };
    const expected = byAmqplib({ ...plainWire, options: { ...options, headers: headers as never } });
    const table = tableIn(expected);
    const own: WireMessage = {
      ...plainWire,
      options: { ...options, headers: {} },
      carried: [...table.fields()],
    };
    const block = Buffer.alloc(roomForPublish(own, 131_072));
    const end = writePublish(block, 0, own, { channel: internals.ch, frameMax: 131_072 });
    expect(block.subarray(0, end).equals(expected)).toBe(true);
    expect(Object.fromEntries([...table.fields()].map((field) => [field.name, amqplibValue(field)]))).toEqual(
      {
        ...headers,
        time: { '!': 'timestamp', value: 1764000000n },
        long: { '!': 'int64', value: 9_007_199_254_740_993n },
        table: { a: { b: { '!': 'int64', value: 1n } } },
      },
    );
    expect(table.values).toMatchObject({ long: 9_007_199_254_740_993n, float: 0.5, nothing: null });
  });

  it('are those that amqplib writes for typed headers, a user, a time that is left and a transient message', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 });
    onTestFinished(() => void vi.useRealTimers());
    const headers = {
      text: 'blue',
      small: 5,
      long: 2 ** 40,
      double: 0.5,
      large: 2 ** 60,
      big: 2n ** 60n,
      five: 5n,
      yes: true,
      nothing: null,
      at: new Date(1_764_000_000_000),
      bytes: Uint8Array.of(0, 255),
      list: [1, ['b'], { c: 1.5 }],
      table: { '!': 'int8', value: 1 },
    };
    const inAmqplibs = {
      small: { '!': 'int32', value: 5 },
      long: { '!': 'int64', value: 2 ** 40 },
      double: { '!': 'double', value: 0.5 },
      large: { '!': 'double', value: 2 ** 60 },
      big: { '!': 'int64', value: 2n ** 60n },
      five: { '!': 'int64', value: 5n },
      yes: true,
      nothing: null,
      at: { '!': 'timestamp', value: 1_764_000_000 },
      bytes: Buffer.of(0, 255),
      list: [{ '!': 'int32', value: 1 }, ['b'], { c: { '!': 'double', value: 1.5 } }],
      text: 'blue',
    };
    const properties = { type: 'order', appId: 'shop', userId: 'guest', persistent: false };
    const { table: _, ...known } = headers;
    const own = wire({ headers: known, expiresAt: Date.now() + 60_000, ...properties });
    const { expiresAt, ...options } = own.options;
    expect(expiresAt).toBe(Date.now() + 60_000);
    const expected = byAmqplib({
      ...own,
      carried: undefined,
      options: {
        ...options,
        expiration: '60000',
        headers: { ...inAmqplibs, 'x-millrace-expires-at': String(expiresAt) },
      } as never,
    });
    const block = Buffer.alloc(roomForPublish(own, 131_072));
    const end = writePublish(block, 0, own, { channel: internals.ch, frameMax: 131_072 });
    // amqplib writes text in its place among the others.
    expect(tableIn(block.subarray(0, end), 1).values).toEqual(tableIn(expected, 1).values);
    expect(sorted(block.subarray(0, end))).toEqual(sorted(expected));
    // A table that looks like amqplib's notation is a table.
    const odd = wire({ headers: { table: headers.table } });
    const room = Buffer.alloc(roomForPublish(odd, 131_072));
    writePublish(room, 0, odd, { channel: internals.ch, frameMax: 131_072 });
    expect(tableIn(room, 1).values).toEqual({ table: { '!': 'int8', value: 1 } });
  });

  it.each<[string, WireMessage, number]>([
    ['a header with a name that is too long', withHeaders({ ['ü'.repeat(128)]: '' }), 131_072],
    ['headers above 64 KiB', wire({ headers: { a: 'x'.repeat(66_000) } }), 131_072],
    ['headers that are more than a frame carries', wire({ headers: { a: 'x'.repeat(10_000) } }), 8192],
  ])('are none for %s', (_, message, frameMax) => {
    expect(() => roomForPublish(message, frameMax)).toThrow(RangeError);
  });

  it('carry headers up to the end of a frame', () => {
    const message = wire({ headers: { a: 'x'.repeat(60_000) } });
    const block = Buffer.alloc(roomForPublish(message, 131_072));
    const end = writePublish(block, 0, message, { channel: internals.ch, frameMax: 131_072 });
    expect(block.subarray(0, end).equals(byAmqplib(message))).toBe(true);
  });
});

/** The octets, in no order: two frames have the same fields. */
function sorted(bytes: Buffer): number[] {
  return [...bytes].sort((a, b) => a - b);
}

/** The table of headers that is in the header frame of a publish, after so many texts. */
function tableIn(bytes: Buffer, texts = 2): HeaderTable {
  const header = bytes.readUInt32BE(3) + 8;
  // Before it come the size and the flags, the content type and the encoding.
  let at = header + 7 + 14;
  for (let text = 0; text < texts; text++) at += 1 + (bytes[at] as number);
  return new HeaderTable(bytes, at + 4, at + 4 + bytes.readUInt32BE(at));
}

describe('a channel for publishing', () => {
  const open = (onFull = () => {}, onDrain = () => {}) => direct(channel, { onFull, onDrain });

  it('reaches the stream of its frames in the amqplib that is installed', () => {
    expect(open().isDirect).toBe(true);
  });

  it('hands over all messages of a burst in one go, in order', async () => {
    internals.connection.frameMax = 131_072;
    const publishing = open();
    const burst = [
      wire({ id: 'a' }),
      wire({ id: 'b' }),
      wire({ id: 'c', headers: { a: 'b' } }),
      wire({ id: 'd', body: Buffer.alloc(200_000, 1) }),
      wire({ id: 'e' }),
    ];
    const expected = Buffer.concat(burst.map(byAmqplib));
    const before = internals.unconfirmed.length;
    written = [];
    for (const message of burst) publishing.publish(message, message.options);
    await new Promise(setImmediate);
    expect(Buffer.concat(written).equals(expected)).toBe(true);
    // a, b and c; d, which takes memory of its own, and e.
    expect(written).toHaveLength(2);
    // amqplib counts them all, so that it does not take a confirm for another's.
    expect(internals.unconfirmed).toHaveLength(before + burst.length);
  });

  it('never writes again what was handed over', async () => {
    const publishing = open();
    const ids = Array.from({ length: 2000 }, (_, index) => `m${index}`);
    const expected = Buffer.concat(ids.map((id) => byAmqplib(wire({ id }))));
    written = [];
    for (const [index, id] of ids.entries()) {
      const message = wire({ id });
      publishing.publish(message, message.options);
      if (index % 7 === 0) await Promise.resolve();
      if (index % 100 === 0) await new Promise(setImmediate);
    }
    await new Promise(setImmediate);
    expect(Buffer.concat(written).equals(expected)).toBe(true);
  });

  it('does not keep the broker waiting for the end of a long burst', () => {
    const publishing = open();
    const message = wire({ body: Buffer.alloc(1000) });
    for (let count = 0; count < 1000; count++) publishing.publish(message, message.options);
    expect(Buffer.concat(written).length).toBeGreaterThan(800_000);
  });

  it('says when the socket is full, which it is when bytes wait in it, and when it is not any more', async () => {
    let isFull = false;
    const publishing = open(
      () => {
        isFull = true;
      },
      () => {
        isFull = false;
      },
    );
    const message = wire({});
    const publish = async () => {
      publishing.publish(message, message.options);
      await new Promise(setImmediate);
    };
    room = false;
    await publish();
    expect(isFull).toBe(false);
    Object.defineProperty(stream, 'writableLength', { value: 100, configurable: true });
    await publish();
    room = true;
    Reflect.deleteProperty(stream, 'writableLength');
    expect(isFull).toBe(true);
    stream.emit('drain');
    expect(isFull).toBe(false);
  });

  it('keeps the order where amqplib encodes some, on its longer way', async () => {
    const own = await (await rawConnection()).createConfirmChannel();
    const { queue } = await own.assertQueue('', { exclusive: true });
    const publishing = direct(own, { onFull: () => {}, onDrain: () => {} });
    const ids = Array.from({ length: 300 }, (_, index) => `m${index}`);
    for (const [index, id] of ids.entries()) {
      const message = toWire({ exchange: '', routingKey: queue }, { ...plain, id });
      if (index % 7 === 3) {
        await new Promise(process.nextTick);
        own.publish('', queue, Buffer.from('hello'), message.options as Options.Publish);
      } else {
        publishing.publish(message, message.options);
      }
      if (index % 20 === 0) await new Promise(process.nextTick);
      if (index % 50 === 0) await new Promise(setImmediate);
    }
    const arrived: string[] = [];
    await own.consume(queue, (message) => arrived.push(message?.properties.messageId), { noAck: true });
    await eventually(() => arrived.length >= ids.length);
    expect(arrived).toEqual(ids);
  });

  it("writes nothing once its number is another channel's", async () => {
    const connection = await rawConnection();
    const first = await connection.createConfirmChannel();
    const { queue } = await first.assertQueue('', { exclusive: true });
    const publishing = direct(first);
    await first.close();
    const second = await connection.createConfirmChannel();
    expect((second as unknown as Internals).ch).toBe((first as unknown as Internals).ch);
    const message = toWire({ exchange: '', routingKey: queue }, { ...plain, id: 'late' });
    publishing.publish(message, message.options);
    await new Promise(setImmediate);
    second.sendToQueue(queue, Buffer.from('after'));
    await second.waitForConfirms();
    expect((await second.checkQueue(queue)).messageCount).toBe(1);
  });

  it.each([true, false])(
    'refuses properties that do not fit into one frame, and goes on (%s)',
    async (isDirect) => {
      const own = await (await rawConnection()).createConfirmChannel();
      const { queue } = await own.assertQueue('', { exclusive: true });
      const connection = Object.create(own.connection, { frameMax: { value: 8192 } });
      const small = Object.create(own, { connection: { value: connection } }) as ConfirmChannel;
      const internals = isDirect ? new AmqplibInternals(connection, true).publishingOn(small) : undefined;
      expect(internals !== undefined).toBe(isDirect);
      const nothing = () => {};
      const listener = { onFull: nothing, onDrain: nothing, onAnswer: nothing };
      const publishing = new PublishChannel(own, internals, 8192, listener);
      const message = toWire({ exchange: '', routingKey: queue }, { ...plain, id: 'm' });
      const publish = (bytes: number) =>
        publishing.publish(message, { ...message.options, headers: { h: 'x'.repeat(bytes) } });
      expect(() => publish(8192)).toThrow(/frame_max/);
      publish(8000);
      await own.waitForConfirms();
      expect((await own.checkQueue(queue)).messageCount).toBe(1);
    },
  );

  it('takes an answer for one about what was published here, whatever tag it has', async () => {
    const own = await (await rawConnection()).createConfirmChannel();
    const { queue } = await own.assertQueue('', { exclusive: true });
    const answers: [number, boolean][] = [];
    const publishing = direct(own, { onAnswer: (tag, multiple) => answers.push([tag, multiple]) });
    const message = toWire({ exchange: '', routingKey: queue }, { ...plain, id: 'm' });
    for (let count = 0; count < 3; count++) publishing.publish(message, message.options);
    for (const deliveryTag of [2 ** 52, 1e9, 4]) {
      own.emit('ack', { deliveryTag, multiple: false });
      expect(answers).toEqual([]);
    }
    own.emit('ack', { deliveryTag: 2 ** 52, multiple: true });
    own.emit('ack', { deliveryTag: 0, multiple: true });
    expect(answers).toEqual([
      [3, true],
      [3, true],
    ]);
  });

  it('publishes through amqplib alone where its internals may not be used', () => {
    const sent: unknown[][] = [];
    const other = {
      publish: (...args: unknown[]) => sent.push(args) > 1,
      on: () => {},
      listeners: () => [],
      removeAllListeners: () => {},
    } as unknown as ConfirmChannel;
    let isFull = false;
    const onFull = () => {
      isFull = true;
    };
    const publishing = new PublishChannel(other, undefined, 0, {
      onFull,
      onDrain: () => {},
      onAnswer: () => {},
    });
    const message = wire({ body: 'Grüße' });
    publishing.publish(message, message.options);
    expect(publishing.isDirect).toBe(false);
    expect(sent).toEqual([['', 'q', Buffer.from('Grüße'), message.options]]);
    expect(isFull).toBe(true);
  });
});
