import { afterAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { Deferred } from '../../../src/common/waiting/waiting.js';
import { moveMessages } from '../../../src/operations/move.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { aroundBroker } from '../../../src/testing/around-broker.js';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { numbered } from '../../contract/contract-context.js';
import { amqpUrl, knownManagementUrl, rawConnection, uniqueName } from '../../support/broker.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('move');
afterAll(() => removeQueues(prefix));

async function cutable() {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const reconnect = { initialDelayMs: 20, maxDelayMs: 100 };
  const broker = await openRabbitMqBroker([proxy.url(amqpUrl())], { reconnect, observe: () => {} });
  onTestFinished(() => broker.close());
  return { proxy, broker };
}

test('a move whose connection is cut moves everything, loses nothing, and counts each message once', async () => {
  const { proxy, broker } = await cutable();
  const [from, to] = ['from', 'to'].map((name) => defineQueue(`${prefix}-${name}`, z.string()));
  if (from === undefined || to === undefined) throw new Error('there are two');
  const ids = numbered(600);
  await broker.declare(to.spec);
  await createProducer(broker, from).sendMany(ids, { each: (id) => ({ id }) });

  const told: string[] = [];
  const result = await moveMessages(broker, from.name, to.name, {
    onMoved: (id) => {
      if (told.push(id) % 200 === 100) proxy.cut();
    },
  });
  expect(result).toEqual({ moved: 600, left: 0, total: 600 });
  expect(new Set(told).size).toBe(600);
  expect((await broker.inspect(from.name)).ready).toBe(0);
  const { ready } = await broker.inspect(to.name);
  const inbox = await Inbox.open(broker, to.name, { prefetch: 2000 });
  expect(new Set(idsOf(await inbox.take(ready)))).toEqual(new Set(ids));
  await inbox.subscription.close();
});

test('a move that is aborted leaves no message in both queues', async () => {
  const { broker } = await cutable();
  const [from, to] = ['stopped-from', 'stopped-to'].map((name) =>
    defineQueue(`${prefix}-${name}`, z.string()),
  );
  if (from === undefined || to === undefined) throw new Error('there are two');
  await broker.declare(to.spec);
  await createProducer(broker, from).sendMany(numbered(300));
  const stop = new AbortController();
  const moving = moveMessages(broker, from.name, to.name, {
    signal: stop.signal,
    onMoved: () => stop.abort(),
  });
  await expect(moving).rejects.toMatchObject({ code: 'ABORTED' });
  await untilAsserted(async () => {
    const [left, moved] = [await broker.inspect(from.name), await broker.inspect(to.name)];
    expect(left.ready).toBeGreaterThan(0);
    expect(left.ready + moved.ready).toBe(300);
  });
});

test('a message that comes back twice counts once, and the limit holds', async () => {
  const { proxy, broker } = await cutable();
  const [from, to] = ['twice-from', 'twice-to'].map((name) => defineQueue(`${prefix}-${name}`, z.string()));
  if (from === undefined || to === undefined) throw new Error('there are two');
  await broker.declare(to.spec);
  const ids = numbered(6);
  await createProducer(broker, from).sendMany(ids, { each: (id) => ({ id }) });
  let cuts = 0;
  const cut = async () => {
    const { disconnected } = broker.counts;
    proxy.cut();
    cuts++;
    await eventually(() => broker.counts.disconnected > disconnected);
  };
  let published = 0;
  const firstCut = new Deferred();
  const publish: Backend['publish'] = async (at, message, options) => {
    if (message.id !== ids[0]) await firstCut.promise;
    const isRouted = await broker.publish(at, message, options);
    // It is back: its connection is lost again before it can be removed.
    if (message.id === ids[0] && ++published === 2) await cut();
    return isRouted;
  };
  const told: string[] = [];
  const result = await moveMessages(
    Object.assign(aroundBroker(broker, {}), { publish }),
    from.name,
    to.name,
    {
      limit: 3,
      // Before its acknowledgement has left this process.
      onMoved: async (id) => {
        if (told.push(id) > 1) return;
        await cut();
        firstCut.resolve();
      },
    },
  );
  expect(cuts).toBe(2);
  expect(result).toEqual({ moved: 3, left: 0, total: 6 });
  expect(told.length).toBe(3);
  const { ready } = await broker.inspect(to.name);
  const inbox = await Inbox.open(broker, to.name, { prefetch: 2000 });
  const stored = await inbox.take(ready);
  expect(new Set(idsOf(stored))).toEqual(new Set(told));
  await inbox.subscription.close();
});

test('of messages that are alike, as many move as the limit says, though the first comes back after a cut', async () => {
  const { proxy, broker } = await cutable();
  const [from, to] = ['alike-from', 'alike-to'].map((name) => defineQueue(`${prefix}-${name}`, z.string()));
  if (from === undefined || to === undefined) throw new Error('there are two');
  await broker.declare(to.spec);
  await broker.declare(from.spec);
  for (let n = 0; n < 6; n++) {
    const twin = { id: 'twin', contentType: 'text/plain', headers: {}, body: 'x' };
    await broker.publish({ exchange: '', routingKey: from.name }, twin);
  }
  const firstCut = new Deferred();
  let published = 0;
  const publish: Backend['publish'] = async (at, message, options) => {
    if (++published > 1) await firstCut.promise;
    return broker.publish(at, message, options);
  };
  let told = 0;
  const result = await moveMessages(
    Object.assign(aroundBroker(broker, {}), { publish }),
    from.name,
    to.name,
    {
      limit: 4,
      onMoved: async () => {
        if (++told > 1) return;
        // Its acknowledgement has not left this process.
        proxy.cut();
        await eventually(() => broker.counts.disconnected > 0);
        firstCut.resolve();
      },
    },
  );
  expect(result).toEqual({ moved: 4, left: 0, total: 6 });
  expect(told).toBe(4);
  await eventually(async () => (await broker.inspect(from.name)).ready === 2);
  expect((await broker.inspect(to.name)).ready).toBeGreaterThanOrEqual(4);
});

test('messages without an id are counted once after a cut, and one that was stored twice has one id', async () => {
  const { proxy, broker } = await cutable();
  const [from, to] = ['nameless-from', 'nameless-to'].map((name) =>
    defineQueue(`${prefix}-${name}`, z.string()),
  );
  if (from === undefined || to === undefined) throw new Error('there are two');
  await broker.declare(from.spec);
  await broker.declare(to.spec);
  const raw = await (await rawConnection()).createConfirmChannel();
  const bodies = numbered(6);
  for (const body of bodies) raw.sendToQueue(from.name, Buffer.from(body));
  await raw.waitForConfirms();
  const cut = new Deferred();
  let published = 0;
  const publish: Backend['publish'] = async (at, message, options) => {
    // All but the first are stored before they can be removed.
    if (++published > 1) await cut.promise;
    return broker.publish(at, message, options);
  };
  const told: string[] = [];
  const onMoved = async (id: string) => {
    if (told.push(id) > 1) return;
    proxy.cut();
    await eventually(() => broker.counts.disconnected > 0);
    cut.resolve();
  };
  const around = Object.assign(aroundBroker(broker, {}), { publish });
  expect(await moveMessages(around, from.name, to.name, { onMoved })).toEqual({
    moved: 6,
    left: 0,
    total: 6,
  });
  const { ready } = await broker.inspect(to.name);
  const stored = await (await Inbox.open(broker, to.name, { prefetch: 2000 })).take(ready);
  const ids = new Map<string, Set<string>>();
  for (const { message } of stored) {
    const body = Buffer.from(message.body).toString();
    ids.set(body, (ids.get(body) ?? new Set()).add(message.id));
  }
  expect([...ids.keys()].sort()).toEqual(bodies);
  // The first was removed before the cut, and the broker did not learn of it.
  for (const body of bodies.slice(1)) expect(ids.get(body)?.size).toBe(1);
});

test("a dead letter keeps RabbitMQ's record of its death, but not the counts of its old queue", async () => {
  const { broker } = await cutable();
  const raw = await (await rawConnection()).createConfirmChannel();
  const [from, to] = [`${prefix}-died`, `${prefix}-died-other`];
  await raw.assertQueue(`${from}.dead`, { arguments: { 'x-queue-type': 'quorum' } });
  await raw.assertQueue(to, { arguments: { 'x-queue-type': 'quorum' } });
  await raw.assertQueue(from, {
    arguments: {
      'x-queue-type': 'quorum',
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': `${from}.dead`,
    },
  });
  raw.sendToQueue(from, Buffer.from('x'), { messageId: 'm', headers: { tenant: 'blue' } });
  await raw.waitForConfirms();
  raw.nack(await eventually(() => raw.get(from)), false, false);
  await eventually(async () => (await broker.inspect(`${from}.dead`)).ready === 1);
  expect(await moveMessages(broker, `${from}.dead`, to)).toEqual({ moved: 1, left: 0, total: 1 });
  const { properties } = await eventually(() => raw.get(to, { noAck: true }));
  expect(properties.headers).toMatchObject({
    tenant: 'blue',
    'x-death': [{ queue: from, reason: 'rejected', count: 1 }],
    'x-first-death-queue': from,
  });
  expect(properties.headers?.['x-delivery-count'] ?? 0).toBe(0);
});

test('a stream keeps its messages: a move from it is refused at once', async ({ skip }) => {
  const managementUrl = knownManagementUrl();
  skip(managementUrl === undefined, 'AMQP does not report the types of queues');
  const broker = await openRabbitMqBroker([amqpUrl()], { managementUrl, observe: () => {} });
  onTestFinished(() => broker.close());
  const [from, to] = [`${prefix}-stream`, `${prefix}-not-a-stream`];
  const channel = await (await rawConnection()).createChannel();
  await channel.assertQueue(from, { arguments: { 'x-queue-type': 'stream' } });
  await broker.declare(defineQueue(to, z.string()).spec);
  const error = await rejection(moveMessages(broker, from, to), 'UNSUPPORTED');
  expect(error.message).toContain(`'${from}' is a stream`);
});
