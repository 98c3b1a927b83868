import { afterAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { moveMessages } from '../../../src/operations/move.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { numbered } from '../../contract/contract-context.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('move');
afterAll(() => removeQueues(prefix));

test('a move whose connection is cut moves everything, loses nothing, and counts each message once', async () => {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const reconnect = { initialDelayMs: 20, maxDelayMs: 100 };
  const broker = await openRabbitMqBroker([proxy.url(amqpUrl())], { reconnect, observe: () => {} });
  onTestFinished(() => broker.close());
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
  expect(result).toEqual({ moved: 600, total: 600 });
  expect(new Set(told).size).toBe(600);
  expect((await broker.inspect(from.name)).ready).toBe(0);
  const { ready } = await broker.inspect(to.name);
  const inbox = await Inbox.open(broker, to.name, { prefetch: 2000 });
  expect(new Set(idsOf(await inbox.take(ready)))).toEqual(new Set(ids));
  await inbox.subscription.close();
});
