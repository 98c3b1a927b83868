import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { parseAddress } from '../../../src/rabbitmq/address.js';
import { Management } from '../../../src/rabbitmq/operator/management.js';
import { ManagementClient } from '../../../src/rabbitmq/operator/management-client.js';
import { checkRabbitMqOptions } from '../../../src/rabbitmq/options.js';
import { rejection } from '../../support/rejection.js';

type Item = Readonly<Record<string, unknown>>;

/** A management API with these queues, and what it was asked for. */
async function api(queues: readonly Item[], overview: Item = {}) {
  const asked: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://any');
    if (pathname === '/api/overview')
      return response.end(JSON.stringify({ rates_mode: 'basic', ...overview }));
    if (pathname !== '/api/queues/%2F') return response.writeHead(400).end('{"reason":"not this"}');
    asked.push(searchParams);
    const name = searchParams.get('name') ?? '';
    const isMatch = (text: string) =>
      searchParams.get('use_regex') === 'true'
        ? new RegExp(name, 'i').test(text)
        : text.toLowerCase().includes(name.toLowerCase());
    const hasTotals = searchParams.get('enable_queue_totals') === 'true';
    const items = queues
      .filter((item) => isMatch(String(item.name)))
      .map(({ messages, messages_ready, ...item }) => ({
        vhost: '/',
        ...item,
        ...((hasTotals || overview.disable_stats !== true) && { messages, messages_ready }),
      }));
    return response.end(JSON.stringify({ items, page_count: 1, filtered_count: items.length }));
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const managementUrl = `http://u:p@127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new ManagementClient(
    () => parseAddress('amqp://localhost'),
    checkRabbitMqOptions({ managementUrl }),
  );
  return { management: new Management(client), asked };
}

const waits = (name: string, queue: string, messages: number): Item => ({
  name,
  messages,
  messages_ready: messages,
  arguments: { 'x-message-ttl': 1, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': queue },
});
const holds = (name: string, messages: number, others: Item = {}): Item => ({
  name,
  messages,
  messages_ready: messages,
  ...others,
});
const all = { internal: false, limit: 100 };

test('while a wait queue has no statistics, it is not known how many messages are delayed', async () => {
  const { messages: _, messages_ready: __, ...unknown } = waits('orders.retry.1000', 'orders', 2);
  const { management } = await api([holds('orders', 1), unknown, waits('orders.retry.2000', 'orders', 2)]);
  const info = await management.queue('orders', { ready: 1, consumers: 0 }, {});
  expect(info).toMatchObject({ ready: 1, delayed: undefined });
  expect(info?.unknown.delayed).toContain('no statistics for the queue yet');
});

test('of a server with many queues, a filtered list reads those that match and what belongs to them', async () => {
  const long = 'orders-'.padEnd(240, 'x');
  const { management, asked } = await api([
    holds('orders', 1, { arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'a.b' } }),
    waits('orders.retry.1000', 'orders', 2),
    holds('a.b', 3),
    holds('axb', 9),
    holds(long, 0, { arguments: null, effective_policy_definition: null }),
    waits(`${long.slice(0, 200)}~0123456789abcdef.retry.5000`, long, 4),
    holds('ORDERS', 0),
    holds('other', 0),
    holds('millrace.delay.7', 5),
  ]);
  const { queues, total, parked } = await management.list({ ...all, match: 'orders' }, {});
  expect(queues).toMatchObject([
    { name: 'orders', ready: 1, delayed: 2, dead: 3 },
    { name: long, ready: 0, delayed: 4, dead: 0, deadLetterQueue: null },
  ]);
  expect([total, parked]).toEqual([2, 5]);
  for (const query of asked) expect(query.get('name')).not.toBe('');
  expect(asked.map((query) => query.get('name'))).not.toContain(null);
  expect(await management.queue(long, { ready: 1, consumers: 2 }, {})).toMatchObject({
    ready: 1,
    delayed: 4,
  });
  expect(await management.queue('orders', { ready: 1, consumers: 2 }, {})).toMatchObject({ dead: 3 });
});

test('a text that no name can have is not sent to the server', async () => {
  const { management, asked } = await api([holds('orders', 1)]);
  for (const match of ['x'.repeat(10_000), '\ud800', 'or\nders'])
    expect(await management.list({ ...all, match }, {})).toMatchObject({ queues: [], total: 0 });
  expect(asked.map((query) => query.get('name'))).toEqual([null, null, null]);
});

test('a server that collects no statistics counts messages when asked, and the rest is unknown', async () => {
  const { management } = await api([holds('orders', 7), holds('orders.dead', 2)], { disable_stats: true });
  const [orders] = (await management.list({ ...all, match: '' }, {})).queues;
  expect(orders).toMatchObject({ ready: 7, dead: 2, deadLetterQueue: 'orders.dead' });
  const reason = 'the server is configured to collect no statistics';
  for (const figure of ['consumers', 'delayed', 'bytes', 'rates'] as const)
    expect([figure, orders?.[figure], orders?.unknown[figure]]).toEqual([figure, undefined, reason]);
  for (const refused of [
    management.consumers({ queue: undefined, limit: 1 }, {}),
    management.consumers({ queue: 'orders', limit: 1 }, {}),
    management.waitQueues({}),
  ])
    expect((await rejection(refused, 'UNSUPPORTED')).message).toContain(reason);
  // That is no reason to ask no more.
  expect((await management.list({ ...all, match: 'orders' }, {})).total).toBe(2);
});
