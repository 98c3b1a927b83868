import fc from 'fast-check';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Backend, BrokerEvent, Message } from '../../../src/broker.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { ladderKey, undelayable } from '../../../src/rabbitmq/topology/delayed-send-ladder.js';
import { millrace } from '../../cli/support/spawn-millrace.js';
import { amqpUrl, rawConnection, uniqueName } from '../../support/broker.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('delay-ladder');
const LOST = 'millrace.delay.lost';
let broker: Backend;

beforeAll(async () => {
  broker = await openRabbitMqBroker([amqpUrl()], {});
});
afterAll(async () => {
  // Where messages are left in it, `doctor` warns.
  await broker.purge(LOST);
  await broker.close();
  await removeQueues(prefix);
});

async function declare(name: string): Promise<string> {
  await broker.declare(defineQueue(name, z.unknown(), {}).spec);
  return name;
}

function send(queue: string, id: string, delayMs: number, more: Partial<Message> = {}): Promise<boolean> {
  const dueAt = Date.now() + delayMs;
  const sent = { id, contentType: 'text/plain', headers: {}, body: 'x', dueAt, ...more };
  return broker.publish({ exchange: '', routingKey: queue }, sent);
}

test('the key of a message has a word for each bit of its delay, and then its queue', () => {
  expect(ladderKey(5, 'orders.eu')).toBe(`${'0.'.repeat(25)}1.0.1.orders.eu`);
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 28 - 1 }), (seconds) => {
      const words = ladderKey(seconds, 'q').split('.');
      expect(words).toHaveLength(29);
      const total = words.slice(0, 28).reduce((sum, bit, index) => sum + Number(bit) * 2 ** (27 - index), 0);
      expect(total).toBe(seconds);
    }),
  );
});

test('a message comes to its own queue, and to none whose name is the end of that', async () => {
  const short = await declare(`${prefix}-end`);
  const long = await declare(`${prefix}.more.${prefix}-end`);
  await send(short, 'for the short one', 1000);
  await send(long, 'for the long one', 1000);
  const inboxes = [await Inbox.open(broker, short), await Inbox.open(broker, long)];
  expect(await inboxes[0]?.ackNext(1)).toEqual(['for the short one']);
  expect(await inboxes[1]?.ackNext(1)).toEqual(['for the long one']);
  for (const inbox of inboxes) {
    expect(inbox.untaken).toEqual([]);
    await inbox.subscription.close();
  }
});

test('delays of many lengths share the same few queues', async () => {
  const queue = await declare(`${prefix}-many`);
  for (let index = 0; index < 60; index++) await send(queue, `m${index}`, 1000 + 50 * index);
  const inbox = await Inbox.open(broker, queue);
  await inbox.ackNext(60);
  const { deliveries } = inbox;
  expect(deliveries[0]).toMatchObject({ attempt: 1, redelivered: false });
  expect(deliveries[0]?.message).toMatchObject({ origin: undefined, headers: {} });
  await rejection(broker.inspect(`${queue}.retry.ready`), 'QUEUE_MISSING');
  await inbox.subscription.close();
});

test('messages for a queue that is gone are kept, and hold up nobody', async () => {
  const gone = await declare(`${prefix}-gone`);
  const there = await declare(`${prefix}-there`);
  // Long enough for its queue to be deleted before.
  await Promise.all(Array.from({ length: 50 }, (_, index) => send(gone, `lost${index}`, 10_000)));
  const connection = await rawConnection();
  const channel = await connection.createChannel();
  await channel.deleteQueue(gone);
  await untilAsserted(async () => expect((await broker.inspect(LOST)).ready).toBeGreaterThanOrEqual(50));
  await send(there, 'good', 1000);
  const inbox = await Inbox.open(broker, there);
  expect(await inbox.ackNext(1)).toEqual(['good']);
  await channel.purgeQueue(LOST);
  await connection.close();
  await inbox.subscription.close();
});

test('what is sent after its queue was deleted and made again arrives, and without the queue it is refused', async () => {
  const queue = await declare(`${prefix}-again`);
  await send(queue, 'first', 1000);
  await broker.remove(queue);
  expect((await rejection(send(queue, 'refused', 1000), 'UNROUTABLE')).message).toContain(queue);
  await declare(queue);
  await send(queue, 'second', 3000);
  const inbox = await Inbox.open(broker, queue);
  expect((await inbox.ackNext(1)).at(-1)).toMatch(/first|second/);
  await inbox.subscription.close();
});

test('a delayed message whose queue is gone when it is due is reported, with the name of the queue', async () => {
  const gone = `${prefix}-gone-told`;
  const events: BrokerEvent[] = [];
  const teller = await openRabbitMqBroker([amqpUrl()], { observe: (event) => events.push(event) });
  onTestFinished(() => teller.close());
  for (const name of [gone, `${prefix}-kept`]) {
    const queue = defineQueue(name, z.string());
    await teller.declare(queue.spec);
    await createProducer(teller, queue).send('x', { delayMs: 1000 });
  }
  await teller.remove(gone);
  await eventually(() => events.some(({ type }) => type === 'delay-lost'), { timeoutMs: 90_000 });
  expect(events.filter(({ type }) => type === 'delay-lost')).toContainEqual(
    expect.objectContaining({ queues: [gone] }),
  );
  const { stdout } = await millrace(['doctor'], { env: { MILLRACE_URL: amqpUrl() } });
  expect(stdout).toMatch(/^warn {2}delayed messages +\d+ in 'millrace\.delay\.lost'/m);
});

test('an expiry does not shorten the wait, and counts on through it', async () => {
  const queue = await declare(`${prefix}-expiry`);
  const expiresAt = Date.now() + 600_000;
  await send(queue, 'a', 2000, { expiresAt });
  const before = performance.now();
  const inbox = await Inbox.open(broker, queue);
  const { message } = await inbox.next();
  expect(performance.now() - before).toBeGreaterThan(1000);
  expect(message).toMatchObject({ id: 'a', expiresAt });
  await inbox.subscription.close();
});

test.each([
  [`${'n'.repeat(200)}`, '199 bytes'],
  ['orders.*', 'wildcard'],
  ['#.orders', 'wildcard'],
])('messages to %s can not be delayed, and that is said', async (name, why) => {
  expect(undelayable(name)).toContain(why);
  const error = await rejection(send(name, 'x', 1000), 'INVALID_MESSAGE');
  expect(error.message).toContain(why);
});

test('other names can', () => {
  for (const name of ['orders', 'a.b', 'a*b', '**', '', 'n'.repeat(199)])
    expect(undelayable(name)).toBeUndefined();
});
