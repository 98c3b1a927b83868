import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { connect } from '../../src/connect.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { createHealth, type Health } from '../../src/metrics/index.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { TcpProxy } from '../../src/testing/tcp-proxy.js';
import { amqpUrl, uniqueName } from '../support/broker.js';
import { eventually } from '../support/eventually.js';

const queue = defineQueue('orders', z.string());

/** Asks over HTTP, as an orchestrator does. */
async function asked(health: Health) {
  const server = createServer((request, response) => {
    if (!health.handler(request, response)) response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  return async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  };
}

test('a consumer makes a process ready while it takes messages', async () => {
  const broker = await connect('local:');
  let end = () => {};
  const consumer = createConsumer(broker, queue, () => new Promise<void>((resolve) => (end = resolve)));
  const get = await asked(createHealth({ brokers: [broker], consumers: [consumer] }));
  expect(await get('/readyz')).toMatchObject({ status: 503, text: expect.stringContaining('not started') });
  expect(await get('/livez')).toMatchObject({ status: 200 });
  await consumer.start();
  expect(await get('/readyz?verbose')).toEqual({ status: 200, text: '{"ok":true,"reasons":[]}\n' });
  expect(await get('/healthz')).toMatchObject({ status: 200 });
  expect(await get('/other')).toMatchObject({ status: 404 });
  await createProducer(broker, queue).send('x');
  await eventually(() => end.toString() !== '() => { }' && consumer.state === 'running');
  const stopping = consumer.stop();
  expect(await get('/readyz')).toMatchObject({ status: 503, text: expect.stringContaining('is draining') });
  end();
  await stopping;
  expect(await get('/readyz')).toMatchObject({ status: 503, text: expect.stringContaining('has stopped') });
  expect(await get('/livez')).toMatchObject({ status: 200 });
  await broker.close();
  expect((await get('/readyz')).text).toContain('local:: closed');
});

test('a process that drains is not ready, whatever its consumers do', async () => {
  const health = createHealth();
  expect(health.ready()).toEqual({ ok: true, reasons: [] });
  health.drain();
  expect(health.ready()).toMatchObject({ ok: false, reasons: [expect.stringContaining('draining')] });
});

test('a consumer that has ended by itself says why, and a broker that is away since when', async () => {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const reconnect = { initialDelayMs: 5, maxDelayMs: 20 };
  const broker = await connect(proxy.url(amqpUrl()), { reconnect, observe: () => {} });
  onTestFinished(() => broker.close());
  const name = uniqueName('health');
  await createProducer(broker, defineQueue(name, z.string(), { deadLetter: false })).send('x');
  const existing = defineQueue(name, z.string(), { declare: 'existing' });
  const consumer = createConsumer(broker, existing, () => {}, { observe: () => {} });
  await consumer.start();
  const health = createHealth({ brokers: [broker], consumers: [consumer], notConnectedMs: 100 });
  expect(health.ready().ok).toBe(true);
  await proxy.refuse(true);
  proxy.cut();
  await eventually(() => !health.ready().ok);
  expect(health.ready().reasons).toEqual([expect.stringMatching(/amqp:.*: not connected for \d+ s: .+/)]);
  await proxy.refuse(false);
  await eventually(() => health.ready().ok);
  await broker.remove(name);
  await eventually(() => !health.ready().ok);
  expect(health.ready().reasons).toEqual([expect.stringMatching(`the consumer of '${name}' has ended: .+`)]);
});

test('reconnecting at once does not make a process unready', async () => {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const broker = await connect(proxy.url(amqpUrl()), { observe: () => {} });
  onTestFinished(() => broker.close());
  const health = createHealth({ brokers: [broker] });
  await proxy.refuse(true);
  proxy.cut();
  await eventually(() => broker.outage !== undefined);
  expect(health.ready().ok).toBe(true);
});
