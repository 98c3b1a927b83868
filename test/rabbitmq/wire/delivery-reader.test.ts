import type { ConsumeMessage } from 'amqplib';
import { expect, test } from 'vitest';
import { AmqplibInternals } from '../../../src/rabbitmq/connection/amqplib-internals.js';
import { DeliveryReader } from '../../../src/rabbitmq/wire/delivery-reader.js';
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

test('deliveries come in order and whole, whether amqplib reads them or not', async () => {
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
  const past: ConsumeMessage[] = [];
  const byAmqplib: ConsumeMessage[] = [];
  const all: ConsumeMessage[] = [];
  const answers: Promise<unknown>[] = [];
  const stop = reader.receive(channel, (message) => {
    past.push(message);
    all.push(message);
    // Something else on the same connection, in between.
    if (past.length % 50 === 0) answers.push(other.checkQueue(queue));
  });
  const onMessage = (message: ConsumeMessage | null) => {
    if (message === null) return;
    byAmqplib.push(message);
    all.push(message);
  };
  await channel.consume(queue, onMessage, { noAck: true });
  await eventually(() => all.length >= MESSAGES);
  await Promise.all(answers);

  expect(all.map(({ properties }) => properties.messageId)).toEqual(
    Array.from({ length: MESSAGES }, (_, index) => `m${index}`),
  );
  for (const [index, message] of all.entries()) {
    expect(message.fields.deliveryTag).toBe(index + 1);
    expect(message.content.equals(contentOf(index))).toBe(true);
    expect(message.properties.headers).toEqual(headersOf(index));
  }
  // Both have had their part in it.
  expect(past.length).toBeGreaterThan(100);
  expect(byAmqplib.length).toBeGreaterThan(100);

  stop();
  channel.sendToQueue(queue, Buffer.from('last'));
  const before = past.length;
  await eventually(() => all.length > MESSAGES);
  expect(past).toHaveLength(before);
});
