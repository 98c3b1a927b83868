import { EventEmitter } from 'node:events';
import type { Channel } from 'amqplib';
import { expect, test } from 'vitest';
import { AmqplibInternals } from '../../../src/rabbitmq/connection/amqplib-internals.js';
import type { ReceivedMessage } from '../../../src/rabbitmq/wire/amqp-message.js';
import { DeliveryReader } from '../../../src/rabbitmq/wire/delivery-reader.js';
import { FRAME_HEAD_BYTES } from '../../../src/rabbitmq/wire/frames.js';
import { MalformedFrame } from '../../../src/rabbitmq/wire/table-values.js';
import { rawConnection } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';

const MESSAGES = 1000;

/** Of all sizes, from none to more than a frame, so that they come in every possible way, and with odd headers. */
function contentOf(index: number): Buffer {
  const sizes = [0, 1, 100, 900, 5000, 70_000, 200_000];
  return Buffer.alloc(sizes[(index * 31) % sizes.length] ?? 0, index);
}

function headersOf(index: number): Record<string, unknown> {
  return index % 5 === 0 ? { number: index, list: [index, 'b'] } : { text: `${index}` };
}

test('deliveries come in order and whole, in however many frames and pieces they arrive', async () => {
  const connection = await rawConnection();
  const reader = new DeliveryReader(new AmqplibInternals(connection.connection, true).reading);
  const channel = await connection.createConfirmChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  for (let index = 0; index < MESSAGES; index++) {
    channel.sendToQueue(queue, contentOf(index), {
      messageId: `m${index}`,
      headers: headersOf(index),
    });
  }
  await channel.waitForConfirms();

  const other = await connection.createChannel();
  const past: ReceivedMessage[] = [];
  let byAmqplib = 0;
  const answers: Promise<unknown>[] = [];
  const stop = reader.receive(channel, (message) => {
    past.push(message);
    // Something else on the same connection, in between.
    if (past.length % 50 === 0) answers.push(other.checkQueue(queue));
  });
  await channel.consume(queue, () => void byAmqplib++, { noAck: true });
  await eventually(() => past.length >= MESSAGES);
  await Promise.all(answers);

  expect(past.map(({ properties }) => properties.messageId)).toEqual(
    Array.from({ length: MESSAGES }, (_, index) => `m${index}`),
  );
  for (const [index, message] of past.entries()) {
    expect(message.fields.deliveryTag).toBe(index + 1);
    expect(message.content.equals(contentOf(index))).toBe(true);
    expect(message.headers.values).toEqual(headersOf(index));
  }
  expect(byAmqplib).toBe(0);

  stop();
  channel.sendToQueue(queue, Buffer.from('last'));
  await channel.waitForConfirms();
  await channel.checkQueue(queue);
  expect(past).toHaveLength(MESSAGES);
  expect(byAmqplib).toBe(0);

  await channel.close();
  const next = await connection.createChannel();
  await next.consume(queue, () => void byAmqplib++, { noAck: true });
  next.sendToQueue(queue, Buffer.from('to the next channel of this number'));
  await eventually(() => byAmqplib > 0);
});

test('a delivery whose frames arrive piece by piece is whole, also after its consumer has stopped', () => {
  const frames = piecesOf({ channel: 1, size: 300, frameMax: 100 });
  const bytes = Buffer.concat([...frames, ...frames]);
  for (const cut of [1, 3, 50, 1000]) {
    const { connection, arrive, left } = wired();
    const reader = new DeliveryReader(connection);
    const past: ReceivedMessage[] = [];
    const channel = channelNumbered(1);
    const stop = reader.receive(channel, (message) => {
      past.push(message);
      stop();
    });
    for (let at = 0; at < bytes.length; at += cut) arrive(bytes.subarray(at, at + cut));
    expect(past.map(({ content }) => content.length)).toEqual([300]);
    // The second one is read as well, whatever its headers: it was on its way.
    expect(left()).toBe(0);
    channel.emit('close');
    arrive(bytes);
    expect(left()).toBe(bytes.length);
  }
});

test('the late close of a channel does not end the next one of the same number', () => {
  const { connection, arrive, left } = wired();
  const reader = new DeliveryReader(connection);
  const earlier = channelNumbered(1);
  reader.receive(earlier, () => {});
  const received: ReceivedMessage[] = [];
  reader.receive(channelNumbered(1), (message) => received.push(message));
  earlier.emit('close');
  arrive(Buffer.concat(piecesOf({ channel: 1, size: 10, frameMax: 100 })));
  expect(received).toHaveLength(1);
  expect(left()).toBe(0);
});

test('frames that make no delivery close the connection', () => {
  const [method, header, body] = piecesOf({ channel: 1, size: 250, frameMax: 100 }) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  for (const frames of [
    [method, body],
    [method, method],
    [method, header, method],
    [method, header, ...new Array(3).fill(body)],
  ]) {
    const { connection, arrive } = wired();
    new DeliveryReader(connection).receive(channelNumbered(1), () => {});
    expect(() => arrive(Buffer.concat(frames))).toThrow(MalformedFrame);
  }
});

test.each([2n ** 63n, 2n ** 64n - 1n, 512n * 1024n * 1024n + 1n])(
  'a body of %d bytes closes the connection before any of it is kept',
  (size) => {
    const [method, header] = piecesOf({ channel: 1, size: 1, frameMax: 1 }) as [Buffer, Buffer];
    header.writeBigUInt64BE(size, FRAME_HEAD_BYTES + 4);
    const { connection, arrive } = wired();
    new DeliveryReader(connection).receive(channelNumbered(1), () => {});
    expect(() => arrive(Buffer.concat([method, header]))).toThrow(`${Number(size)} bytes`);
  },
);

test('body frames without bytes are skipped', () => {
  const [method, header, body] = piecesOf({ channel: 1, size: 10, frameMax: 10 }) as [Buffer, Buffer, Buffer];
  const empty = Buffer.from([3, 0, 1, 0, 0, 0, 0, 0xce]);
  const { connection, arrive, left } = wired();
  const past: ReceivedMessage[] = [];
  new DeliveryReader(connection).receive(channelNumbered(1), (message) => past.push(message));
  arrive(Buffer.concat([method, header, empty, empty, body, method, header, body]));
  expect(past.map(({ content }) => content.length)).toEqual([10, 10]);
  expect(left()).toBe(0);
});

/** As much of a channel as the reader knows of. */
function channelNumbered(ch: number): Channel {
  return Object.assign(new EventEmitter(), { ch }) as unknown as Channel;
}

/** As much of a connection as the reader knows of; frames that are not its own stay. */
function wired() {
  const connection = { rest: Buffer.alloc(0), recvFrame: (): unknown => false };
  const arrive = (bytes: Buffer) => {
    connection.rest = Buffer.concat([connection.rest, bytes]);
    connection.recvFrame();
  };
  return { connection, arrive, left: () => connection.rest.length };
}

function piecesOf({
  channel,
  size,
  frameMax,
}: {
  channel: number;
  size: number;
  frameMax: number;
}): Buffer[] {
  const frame = (type: number, payload: Buffer) => {
    const head = Buffer.from([type, 0, channel, 0, 0, 0, payload.length]);
    return Buffer.concat([head, payload, Buffer.from([0xce])]);
  };
  const method = Buffer.from([0, 60, 0, 60, 1, 0x63, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0x71]);
  const header = Buffer.alloc(14);
  header.writeUInt16BE(60);
  header.writeUInt32BE(size, 8);
  const bodies: Buffer[] = [];
  for (let at = 0; at < size; at += frameMax)
    bodies.push(frame(3, Buffer.alloc(Math.min(frameMax, size - at), 7)));
  return [frame(1, method), frame(2, header), ...bodies];
}
