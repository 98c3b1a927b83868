import { afterAll, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Backend, BrokerEvent, Message, QueueSpec } from '../../../src/broker.js';
import { isQueueError } from '../../../src/errors.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import type { RabbitMqOptions } from '../../../src/rabbitmq/options.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { amqpUrl, rawConnection, uniqueName } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection, watch } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('outage');
let count = 0;

afterAll(() => removeQueues(prefix));

interface Scene {
  readonly proxy: TcpProxy;
  readonly broker: Backend;
  readonly events: BrokerEvent[];
  /** How often an event came. */
  readonly seen: (type: BrokerEvent['type'], link?: 'publish' | 'consume') => number;
}

/** A broker behind a proxy. */
async function scene(options: RabbitMqOptions = {}): Promise<Scene> {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const events: BrokerEvent[] = [];
  const broker = await openRabbitMqBroker([proxy.url(amqpUrl())], {
    reconnect: { initialDelayMs: 20, maxDelayMs: 200 },
    observe: (event) => events.push(event),
    ...options,
  });
  onTestFinished(() => broker.close());
  const seen: Scene['seen'] = (type, link) =>
    events.filter(
      (event) =>
        event.type === type && (link === undefined || ('connection' in event && event.connection === link)),
    ).length;
  return { proxy, broker, events, seen };
}

async function declare(broker: Backend, options: QueueOptions = {}): Promise<QueueSpec> {
  const { spec } = defineQueue(`${prefix}-${++count}`, z.unknown(), { deadLetter: false, ...options });
  await broker.declare(spec);
  return spec;
}

const to = ({ name }: QueueSpec) => ({ exchange: '', routingKey: name });
const message = (id: string): Message => ({
  id,
  contentType: 'text/plain',
  headers: {},
  body: `body of ${id}`,
});
const numbered = (length: number, from = 0) => Array.from({ length }, (_, index) => `m${from + index}`);

/** The ids of all messages in the queue, and which of them are marked as resent. */
async function drain(queue: string): Promise<{ ids: string[]; resent: string[] }> {
  const channel = await (await rawConnection()).createChannel();
  const { messageCount } = await channel.checkQueue(queue);
  const ids: string[] = [];
  const resent: string[] = [];
  if (messageCount > 0) {
    await new Promise<void>((resolve) => {
      void channel.consume(
        queue,
        (received) => {
          const { messageId, headers } = received?.properties ?? {};
          ids.push(messageId);
          if (headers?.['x-millrace-resent'] !== undefined) resent.push(messageId);
          if (ids.length === messageCount) resolve();
        },
        { noAck: true },
      );
    });
  }
  await channel.close();
  return { ids, resent };
}

it('cuts while 5,000 messages are published lose none, and none is called failed that was stored', async () => {
  const { proxy, broker, seen } = await scene();
  const queue = await declare(broker);
  await broker.publish(to(queue), message('first'));
  const ids = numbered(5000);
  const publishing = Promise.allSettled(
    ids.map((id) => broker.publish(to(queue), message(id), { timeoutMs: 100_000 })),
  );
  for (let cut = 1; cut <= 3; cut++) {
    await proxy.resetAfterBytes(50_000, 'to-broker');
    await eventually(() => seen('connected', 'publish') > cut && seen('connected', 'consume') > cut);
  }
  const outcomes = await publishing;
  const stored = new Set((await drain(queue.name)).ids);
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') expect(stored).toContain(`m${index}`);
    else if (!isQueueError(outcome.reason, 'UNCONFIRMED')) expect(stored).not.toContain(`m${index}`);
  }
  expect(outcomes.every(({ status }) => status === 'fulfilled')).toBe(true);
});

it('what was on its way when the link broke is sent again under its id, in order, marked and told', async () => {
  const { proxy, broker, events } = await scene();
  const queue = await declare(broker, { type: 'classic' });
  await broker.publish(to(queue), message('first'));
  proxy.halfOpen('to-client');
  const publishing = Promise.all(numbered(10).map((id) => broker.publish(to(queue), message(id))));
  const reader = await rawConnection().then((connection) => connection.createChannel());
  await eventually(async () => (await reader.checkQueue(queue.name)).messageCount === 11);
  proxy.thaw();
  await publishing;
  expect(events.filter(({ type }) => type === 'resent')).toEqual([{ type: 'resent', count: 10 }]);
  expect(broker.counts).toMatchObject({
    resent: 10,
    disconnected: events.filter(({ type }) => type === 'disconnected').length,
  });
  const { ids, resent } = await drain(queue.name);
  expect(ids).toEqual(['first', ...numbered(10), ...numbered(10)]);
  expect(resent).toEqual(numbered(10));
});

it('a copy that was sent again is delivered as redelivered, on its first attempt, and the first one is not', async () => {
  const { proxy, broker } = await scene();
  // A classic queue, since it adds no marks of its own.
  const queue = await declare(broker, { type: 'classic' });
  await broker.publish(to(queue), message('first'));
  proxy.halfOpen('to-client');
  const publishing = broker.publish(to(queue), message('twice'));
  const reader = await rawConnection().then((connection) => connection.createChannel());
  await eventually(async () => (await reader.checkQueue(queue.name)).messageCount === 2);
  proxy.thaw();
  await publishing;
  const inbox = await Inbox.open(broker, queue.name);
  const seen = (await inbox.take(3)).map(({ message: { id }, redelivered, attempt }) => ({
    id,
    redelivered,
    attempt,
  }));
  expect(seen).toEqual([
    { id: 'first', redelivered: false, attempt: 1 },
    { id: 'twice', redelivered: false, attempt: 1 },
    { id: 'twice', redelivered: true, attempt: 1 },
  ]);
});

it('at the time limit, a message in flight is UNCONFIRMED, and a waiting one is TIMEOUT', async () => {
  const { proxy, broker } = await scene({ maxUnconfirmed: 1 });
  const queue = await declare(broker);
  await broker.publish(to(queue), message('first'));
  proxy.freeze();
  const sent = broker.publish(to(queue), message('sent'), { timeoutMs: 300 });
  const waiting = broker.publish(to(queue), message('waiting'), { timeoutMs: 300 });
  const error = await rejection(sent, 'UNCONFIRMED');
  expect(error.cause).toMatchObject({ code: 'TIMEOUT' });
  await rejection(waiting, 'TIMEOUT');
  proxy.thaw();
  await broker.publish(to(queue), message('last'));
  const { ids } = await drain(queue.name);
  expect(ids).toEqual(['first', 'sent', 'last']);
});

it('a message on its way is UNCONFIRMED when its signal is aborted, and one that waits is ABORTED', async () => {
  const { proxy, broker } = await scene({ maxUnconfirmed: 1 });
  const queue = await declare(broker);
  await broker.publish(to(queue), message('first'));
  proxy.freeze();
  const controller = new AbortController();
  const sent = broker.publish(to(queue), message('sent'), { signal: controller.signal });
  const waiting = broker.publish(to(queue), message('waiting'), { signal: controller.signal });
  controller.abort(new Error('no more'));
  await rejection(sent, 'UNCONFIRMED');
  await rejection(waiting, 'ABORTED');
});

it('a frozen link is found by its heartbeat, and everything goes on over the next one', async () => {
  const { proxy, broker, seen } = await scene({ heartbeatMs: 1000 });
  const queue = await declare(broker);
  const inbox = await Inbox.open(broker, queue.name);
  await broker.publish(to(queue), message('a'));
  expect(await inbox.ackNext(1)).toEqual(['a']);
  proxy.freeze();
  const publishing = broker.publish(to(queue), message('b'));
  await eventually(() => seen('disconnected', 'publish') > 0 && seen('disconnected', 'consume') > 0);
  proxy.thaw();
  await publishing;
  // The acknowledgement of the first one may have been lost with the link: then it is redelivered.
  let next = await inbox.next();
  while (next.message.id !== 'b') next = await inbox.next();
  next.ack();
});

it('sends wait during an outage and continue afterwards, and the state shows it', async () => {
  const { proxy, broker, seen } = await scene();
  const queue = await declare(broker);
  const inbox = await Inbox.open(broker, queue.name);
  await broker.publish(to(queue), message('before'));
  await proxy.refuse(true);
  proxy.cut();
  await eventually(() => seen('disconnected', 'publish') >= 2 && seen('disconnected', 'consume') >= 2);
  expect(broker.state).toBe('connecting');
  const publishing = broker.publish(to(queue), message('during'));
  const watched = watch(publishing);
  await rejection(broker.publish(to(queue), message('hasty'), { noWait: true }), 'FULL');
  await rejection(broker.publish(to(queue), message('impatient'), { timeoutMs: 50 }), 'TIMEOUT');
  await rejection(broker.inspect(queue.name, { timeoutMs: 50 }), 'TIMEOUT');
  await rejection(broker.inspect(queue.name, { signal: AbortSignal.timeout(50) }), 'ABORTED');
  expect(watched.state).toBe('pending');
  await proxy.refuse(false);
  await publishing;
  await eventually(() => broker.state === 'connected');
  await eventually(() => inbox.deliveries.some((delivery) => delivery.message.id === 'during'));
  expect(inbox.deliveries.map(({ message: { id } }) => id)).not.toContain('hasty');
  expect(inbox.deliveries.map(({ message: { id } }) => id)).not.toContain('impatient');
});

it('queues that the outage took with it are there again before anything is sent to them', async () => {
  const { proxy, broker } = await scene();
  const queue = await declare(broker);
  await broker.publish(to(queue), message('before'));
  await proxy.refuse(true);
  proxy.cut();
  const publishing = broker.publish(to(queue), message('after'));
  const channel = await (await rawConnection()).createChannel();
  await channel.deleteQueue(queue.name);
  await proxy.refuse(false);
  await publishing;
  expect((await drain(queue.name)).ids).toEqual(['after']);
});

it('close ends in time over a frozen link, and says of each message what is known', async () => {
  const { proxy, broker } = await scene({ maxUnconfirmed: 1 });
  const queue = await declare(broker);
  await Inbox.open(broker, queue.name);
  await broker.publish(to(queue), message('first'));
  proxy.freeze();
  const sent = broker.publish(to(queue), message('sent'));
  const waiting = broker.publish(to(queue), message('waiting'));
  const asked = broker.inspect(queue.name);
  const closing = broker.close();
  await rejection(waiting, 'CLOSED');
  await rejection(sent, 'UNCONFIRMED');
  await rejection(asked, 'CLOSED', 'TIMEOUT', 'BROKER_ERROR');
  await closing;
  expect(broker.state).toBe('closed');
});

it('close ends in time while the broker is away', async () => {
  const { proxy, broker, seen } = await scene();
  const queue = await declare(broker);
  const inbox = await Inbox.open(broker, queue.name);
  await proxy.refuse(true);
  proxy.cut();
  await eventually(() => seen('disconnected', 'consume') > 0);
  const waiting = broker.publish(to(queue), message('waiting'));
  await Promise.all([broker.close(), rejection(waiting, 'CLOSED'), inbox.subscription.ended]);
});

it('a retry in progress when the connection breaks is not lost', async () => {
  const { proxy, broker } = await scene();
  const queue = await declare(broker, { deadLetter: true });
  await broker.publish(to(queue), message('a'));
  const inbox = await Inbox.open(broker, queue.name);
  const first = await inbox.next();
  proxy.freeze();
  const retrying = first.retry(100, { code: 'failed', error: 'not today' });
  proxy.thaw();
  proxy.cut();
  await retrying.catch((error) => {
    if (!isQueueError(error)) throw error;
  });
  const again = await inbox.next();
  expect(again.message.id).toBe('a');
  expect(again.redelivered).toBe(true);
  again.ack();
});

it('messages to an exclusive queue wait until it is ours again, while a frozen connection still holds it', async () => {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const seen: BrokerEvent[] = [];
  const broker = await openRabbitMqBroker([proxy.url(amqpUrl()), amqpUrl()], {
    heartbeatMs: 1000,
    connectTimeoutMs: 2000,
    reconnect: { initialDelayMs: 20, maxDelayMs: 200 },
    observe: (event) => seen.push(event),
  });
  onTestFinished(() => broker.close());
  const mine = await declare(broker, { type: 'classic', exclusive: true, durable: false });
  const shared = await declare(broker);
  await broker.publish(to(mine), message('first'));
  // The broker goes on holding the queue for the old connection until it misses its heartbeats.
  proxy.freeze();
  const again = broker.publish(to(mine), message('second'));
  await eventually(() => seen.filter(({ type }) => type === 'connected').length >= 4);
  // Others are not held up by it.
  await broker.publish(to(shared), message('other'));
  await again;
  const inbox = await Inbox.open(broker, mine.name);
  const delivery = await inbox.next();
  expect(delivery.message.id).toBe('second');
  delivery.ack();
});
