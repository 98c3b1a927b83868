import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { backendOf } from '../../../src/common/backend-of.js';
import { connect } from '../../../src/connect.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { receive } from '../../../src/consumer/receive.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { createLock } from '../../../src/locks/lock.js';
import { createProducer } from '../../../src/producer/producer.js';
import { createRequester } from '../../../src/producer/requester.js';
import { defineQueue } from '../../../src/queue.js';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { createPublisher } from '../../../src/topics/publisher.js';
import { defineTopic } from '../../../src/topics/topic.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';

const name = uniqueName('no-link');
const queue = defineQueue(name, z.string());
const timeoutMs = 60;
let broker: Backend;
let proxy: TcpProxy;

const waits = {
  send: () => createProducer(broker, queue).send('x', { timeoutMs }),
  'a producer of its own limit': () => createProducer(broker, queue, { timeoutMs }).send('x'),
  sendMany: () => createProducer(broker, queue).sendMany(['x'], { timeoutMs }),
  'a publish without a declaration': () =>
    broker.publish(
      { exchange: '', routingKey: name },
      { id: '1', contentType: '', headers: {}, body: '' },
      { timeoutMs },
    ),
  'an event': () =>
    createPublisher(broker, defineTopic(name, { placed: z.string() })).publish('placed', 'x', { timeoutMs }),
  'a delayed send': () => createProducer(broker, queue).send('x', { timeoutMs, delayMs: 5000 }),
  request: () => createRequester(broker, queue, { reply: z.string() }).request('x', { timeoutMs }),
  'the start of a consumer': () => createConsumer(broker, queue, () => {}).start({ timeoutMs }),
  'a loop': () => receive(broker, queue, { timeoutMs })[Symbol.asyncIterator]().next(),
  inspect: () => broker.inspect(name, { timeoutMs }),
  purge: () => broker.purge(name, { timeoutMs }),
  remove: () => broker.remove(name, { timeoutMs }),
  'a list of dead letters': () => deadLetters(broker, queue).list({ timeoutMs }),
  'a replay': () => deadLetters(broker, queue).replay({ timeoutMs }),
  'a lock': () => createLock(broker, name).acquire({ timeoutMs }),
} satisfies Record<string, () => Promise<unknown>>;

beforeAll(async () => {
  const { hostname, port } = new URL(amqpUrl());
  proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  const reconnect = { initialDelayMs: 5, maxDelayMs: 10 };
  broker = backendOf(await connect(proxy.url(amqpUrl()), { reconnect, observe: () => {} }));
  expect(broker.outage).toBeUndefined();
  await proxy.refuse(true);
  proxy.cut();
  await eventually(() => broker.outage?.reason.message.includes('ECONNREFUSED') === true);
  // Nothing was sent yet: the connection for that is opened now, and its first attempt may take longer than a wait.
  await eventually(async () => {
    const error = await rejection(waits.send(), 'TIMEOUT');
    return error.message.includes('ECONNREFUSED');
  });
});
afterAll(async () => {
  await broker.close();
  await proxy.close();
});

test.concurrent.each(Object.entries(waits))(
  '%s that ends while there is no connection says why',
  async (_, wait) => {
    const error = await rejection(wait(), 'TIMEOUT');
    expect(error.message).toMatch(/\(no connection: .*ECONNREFUSED/);
    let cause: unknown = error.cause;
    while (cause instanceof Error && !cause.message.includes('ECONNREFUSED')) cause = cause.cause;
    expect(cause).toBeInstanceOf(Error);
    expect(error.message.split('no connection')).toHaveLength(2);
  },
);

test('an outage says since when', () => {
  expect(broker.outage?.since).toBeLessThanOrEqual(Date.now());
});
