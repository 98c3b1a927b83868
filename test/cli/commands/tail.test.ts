import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { queueNames, rawChannel, takeAll, texts } from '../support/queues.js';
import { Millrace, millrace } from '../support/spawn-millrace.js';

const nextQueue = queueNames('cli-tail');
const unique = uniqueName('cli-tail-topic');
let topics = 0;
const nextTopic = () => `${unique}-${++topics}`;

let channel: ConfirmChannel;
beforeAll(async () => {
  channel = await rawChannel();
});
afterAll(async () => {
  for (let topic = 1; topic <= topics; topic++) await channel.deleteExchange(`${unique}-${topic}`);
});

/** Starts it, and resolves when it is bound. */
async function tail(topic: string, args: readonly string[] = [], url = amqpUrl()): Promise<Millrace> {
  const running = new Millrace(['tail', topic, ...args], { env: { MILLRACE_URL: url } });
  await running.said(`Waiting for events of '${topic}'`);
  return running;
}

async function publish(topic: string, events: Readonly<Record<string, string>>): Promise<void> {
  for (const [event, body] of Object.entries(events)) channel.publish(topic, event, Buffer.from(body));
  await channel.waitForConfirms();
}

test('tail prints the events that its patterns match, one per line, until Ctrl+C: exit code 130', async () => {
  const topic = nextTopic();
  const running = await tail(topic, ['order.*', '#.failed']);
  await publish(topic, {
    'order.placed': '{"id":"A-1"}',
    'user.created': 'not printed',
    'order.cancelled': 'two\nlines',
    'order.payment.failed': '\x1b[31mred',
  });
  await running.said('order.payment.failed');
  running.child.kill('SIGINT');
  expect(await running.exit()).toBe(130);
  expect(running.stdout.split('\n')).toEqual([
    ` [x] order.placed '{"id":"A-1"}'`,
    " [x] order.cancelled 'two lines'",
    " [x] order.payment.failed '\\x1b[31mred'",
    '',
  ]);
});

test('tail takes nothing from a subscription, and leaves no queue behind', async () => {
  const [topic, subscription] = [nextTopic(), nextQueue()];
  await channel.assertExchange(topic, 'topic', { durable: true });
  await channel.assertQueue(subscription, { durable: true });
  await channel.bindQueue(subscription, topic, '#');
  const running = await tail(topic, ['--json', '--count', '2']);
  await publish(topic, { first: '1', second: '2', third: '3' });
  expect(await running.exit()).toBe(0);
  const records = running.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(records).toMatchObject([
    { exchange: topic, routingKey: 'first', body: '1' },
    { exchange: topic, routingKey: 'second', body: '2' },
  ]);
  expect(texts(await takeAll(channel, subscription))).toEqual(['1', '2', '3']);
  const other = await rawChannel();
  other.on('error', () => {});
  await expect(other.checkQueue(records[0].queue)).rejects.toThrow(/NOT_FOUND/);
});

test('an exchange that exists is used as it is, whatever its type', async () => {
  const topic = nextTopic();
  await channel.assertExchange(topic, 'fanout', { durable: false });
  const running = await tail(topic, ['--count', '1']);
  await publish(topic, { '': 'to everybody' });
  expect(await running.exit()).toBe(0);
  expect(running.stdout).toBe(" [x]  'to everybody'\n");
});

test('after a lost connection tail goes on, and says that it missed events', async () => {
  const topic = nextTopic();
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  try {
    const running = await tail(topic, ['--count', '1'], proxy.url(amqpUrl()));
    proxy.cut();
    await running.said('events published in the meantime were missed');
    await publish(topic, { later: 'x' });
    expect(await running.exit()).toBe(0);
    expect(running.stdout).toBe(" [x] later 'x'\n");
  } finally {
    await proxy.close();
  }
});

test('tail ends with exit code 0 when its output is closed', async () => {
  const topic = nextTopic();
  const running = await tail(topic);
  running.child.stdout?.destroy();
  await publish(topic, { a: 'x', b: 'x' });
  expect(await running.exit()).toBe(0);
});

test.each([
  ['without a topic', [], 2, "missing required argument 'topic'"],
  ['of the default exchange', [''], 2, 'Write a name of 1 to 255 bytes'],
  ['with a pattern that is too long', ['shop', 'x'.repeat(256)], 2, 'Write at most 255 bytes'],
  ['in memory', ['shop', '-u', 'local:'], 2, "'tail' needs a folder"],
  [
    'on a broker that is away',
    ['shop', '-u', 'amqp://127.0.0.1:1', '--connect-timeout', '2s'],
    69,
    'ECONNREFUSED',
  ],
  ['of an exchange of the broker that does not exist', ['amq.nothing'], 4, 'amq.nothing'],
] as const)('tail %s is refused', async (_what, args, exitCode, text) => {
  const ended = await millrace(['tail', ...args], { env: { MILLRACE_URL: amqpUrl() } });
  expect(ended).toMatchObject({ exitCode, stdout: '' });
  expect(ended.stderr).toContain(text);
  expect(ended.stderr.trimEnd().split('\n').length).toBeLessThanOrEqual(2);
});
