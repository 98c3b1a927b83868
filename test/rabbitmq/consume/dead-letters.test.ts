import type { Channel, ConfirmChannel } from 'amqplib';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import type { Broker } from '../../../src/broker.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { consume } from '../../cli/support/queues.js';
import { amqpUrl, rawConnection, uniqueName } from '../../support/broker.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('dead-letters');
let count = 0;
afterAll(() => removeQueues(prefix));

async function open(url = amqpUrl()): Promise<Broker> {
  const broker = await openRabbitMqBroker([url], { reconnect: { initialDelayMs: 20, maxDelayMs: 100 } });
  onTestFinished(() => broker.close());
  return broker;
}

/** A queue of another program, whose dead letters RabbitMQ itself moves to `<name>.dead`. */
async function foreignQueue(
  channel: Channel,
  options: Readonly<Record<string, unknown>> = {},
  deadLetterOptions: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const queue = `${prefix}-${++count}`;
  const quorum = { 'x-queue-type': 'quorum' };
  await channel.assertQueue(`${queue}.dead`, { arguments: { ...quorum, ...deadLetterOptions } });
  await channel.assertQueue(queue, {
    arguments: {
      ...quorum,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': `${queue}.dead`,
      ...options,
    },
  });
  return queue;
}

async function send(channel: ConfirmChannel, queue: string, ids: readonly string[]): Promise<void> {
  for (const messageId of ids) channel.sendToQueue(queue, Buffer.from(`body of ${messageId}`), { messageId });
  await channel.waitForConfirms();
}

async function confirmChannel(): Promise<ConfirmChannel> {
  return (await rawConnection()).createConfirmChannel();
}

async function untilReady(channel: Channel, queue: string, ready: number): Promise<void> {
  await untilAsserted(async () => expect((await channel.checkQueue(queue)).messageCount).toBe(ready));
}

/** Takes all away that is ready. */
async function drain(channel: ConfirmChannel, queue: string): Promise<(string | undefined)[]> {
  const { messageCount } = await channel.checkQueue(queue);
  const messages = messageCount === 0 ? [] : await consume(channel, queue, messageCount);
  return messages.map(({ properties }) => properties.messageId);
}

const numbered = (length: number) => Array.from({ length }, (_, index) => `m${index}`);

it('letters that RabbitMQ itself moved tell its reason, their queue and the time', async () => {
  const channel = await confirmChannel();
  const broker = await open();
  const before = Math.floor(Date.now() / 1000) * 1000;

  const expiring = await foreignQueue(channel, { 'x-message-ttl': 1 });
  await send(channel, expiring, ['late']);
  const full = await foreignQueue(channel, { 'x-max-length': 1 });
  await send(channel, full, ['first', 'second']);
  const rejecting = await foreignQueue(channel);
  await send(channel, rejecting, ['bad']);
  const bad = await eventually(() => channel.get(rejecting));
  channel.nack(bad, false, false);

  for (const [queue, id, reason] of [
    [expiring, 'late', 'expired'],
    [full, 'first', 'maxlen'],
    [rejecting, 'bad', 'rejected'],
  ] as const) {
    await untilReady(channel, `${queue}.dead`, 1);
    const { deadLetters: letters } = await deadLetters(broker, queue).list();
    expect(letters).toMatchObject([{ id, queue, reason, error: expect.stringMatching(/./) }]);
    expect(Date.parse(letters[0]?.deadAt ?? '')).toBeGreaterThanOrEqual(before);
  }
  expect(await deadLetters(broker, rejecting).replay()).toMatchObject({ replayed: 1 });
  const again = await eventually(() => channel.get(rejecting, { noAck: true }));
  expect(again.properties).toMatchObject({ messageId: 'bad' });
  expect(again.properties.headers).not.toHaveProperty('x-death');
  expect(again.properties.headers).not.toHaveProperty('x-first-death-queue');
});

it('a letter without an id is replayed under a new one, with its encoding', async () => {
  const channel = await confirmChannel();
  const queue = await foreignQueue(channel);
  const options = { contentEncoding: 'gzip', contentType: 'application/json', headers: { retries: 3 } };
  channel.sendToQueue(`${queue}.dead`, Buffer.from([0x1f, 0x8b]), options);
  await channel.waitForConfirms();
  const letters = deadLetters(await open(), queue);
  expect((await letters.list()).deadLetters).toMatchObject([{ queue: undefined, reason: 'unknown' }]);
  expect(await letters.replay()).toMatchObject({ replayed: 1 });
  const message = await eventually(() => channel.get(queue, { noAck: true }));
  expect(message.properties).toMatchObject({
    messageId: expect.stringMatching(/./),
    contentEncoding: 'gzip',
    contentType: 'application/json',
    headers: { retries: 3 },
  });
  expect([...message.content]).toEqual([0x1f, 0x8b]);
});

it('a message whose timestamp counts microseconds is listed and replayed', async () => {
  const channel = await confirmChannel();
  const queue = await foreignQueue(channel);
  const timestamp = 1_764_000_000_123_456;
  channel.sendToQueue(`${queue}.dead`, Buffer.from('1'), { messageId: 'm', timestamp });
  await channel.waitForConfirms();
  const letters = deadLetters(await open(), queue);
  expect((await letters.list()).deadLetters).toMatchObject([{ id: 'm' }]);
  expect(await letters.replay()).toMatchObject({ replayed: 1, failed: 0 });
  const message = await eventually(() => channel.get(queue, { noAck: true }));
  expect(message.properties.messageId).toBe('m');
});

it('looks use up no delivery limit, also where RabbitMQ counts them', async () => {
  const channel = await confirmChannel();
  const queue = await foreignQueue(channel, {}, { 'x-delivery-limit': 3 });
  await send(channel, queue, numbered(5));
  for (const _ of numbered(5)) {
    const message = await eventually(() => channel.get(queue));
    channel.nack(message, false, false);
  }
  await untilReady(channel, `${queue}.dead`, 5);
  const letters = deadLetters(await open(), queue);
  const { deadLetters: before } = await letters.list();
  expect(before).toMatchObject(numbered(5).map((id) => ({ id, queue, reason: 'rejected' })));
  const tellingOf = (all: typeof before) =>
    all.map(({ id, queue, reason, attempts, deadAt }) => ({ id, queue, reason, attempts, deadAt }));
  for (let look = 0; look < 12; look++) {
    expect(tellingOf((await letters.list()).deadLetters)).toEqual(tellingOf(before));
  }
  await untilReady(channel, `${queue}.dead`, 5);
});

it('more dead letters than one consumer may hold are all listed, and keep their order', async () => {
  const channel = await confirmChannel();
  const queue = await foreignQueue(channel);
  const ids = numbered(5000);
  await send(channel, `${queue}.dead`, ids);
  const letters = deadLetters(await open(), queue);
  const { total, scanned, deadLetters: found } = await letters.list({ limit: 5000 });
  expect({ total, scanned }).toEqual({ total: 5000, scanned: 5000 });
  expect(found.map(({ id }) => id)).toEqual(ids);
  expect(await letters.drop({ match: 'body of m4999' })).toMatchObject({ scanned: 5000, dropped: 1 });
  await untilReady(channel, `${queue}.dead`, 4999);
  expect(await drain(channel, `${queue}.dead`)).toEqual(ids.slice(0, -1));
});

it('links that are cut while letters are replayed lose none', async () => {
  const channel = await confirmChannel();
  const queue = await foreignQueue(channel);
  const ids = numbered(300);
  await send(channel, `${queue}.dead`, ids);
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const broker = await open(proxy.url(amqpUrl()));
  let told = 0;
  const { replayed } = await deadLetters(broker, queue).replay({
    observe: () => {
      if (++told === 100 || told === 200) proxy.cut();
    },
  });
  expect(replayed).toBe(told);
  await broker.close();
  await untilAsserted(async () => {
    const dead = (await channel.checkQueue(`${queue}.dead`)).messageCount;
    expect((await channel.checkQueue(queue)).messageCount + dead).toBeGreaterThanOrEqual(300);
  });
  const sent = await drain(channel, queue);
  const left = await drain(channel, `${queue}.dead`);
  expect(new Set([...sent, ...left])).toEqual(new Set(ids));
});
