import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { queueNames, rawChannel, takeAll, texts } from '../support/queues.js';
import { Millrace, millrace, type SpawnOptions } from '../support/spawn-millrace.js';

const nextQueue = queueNames('cli-publish');
const unique = uniqueName('cli-publish-topic');
let topics = 0;
const nextTopic = () => `${unique}-${++topics}`;
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-publish-'));

let channel: ConfirmChannel;
beforeAll(async () => {
  channel = await rawChannel();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  for (let topic = 1; topic <= topics; topic++) await channel.deleteExchange(`${unique}-${topic}`);
});

function run(args: readonly string[], options?: SpawnOptions) {
  return millrace(args, { env: { MILLRACE_URL: amqpUrl() }, ...options });
}

describe.each([
  ['RabbitMQ', amqpUrl],
  ['a folder', () => `local:${join(folder, 'queues')}`],
])('on %s', (_name, address) => {
  const options = () => ({ env: { MILLRACE_URL: address() } });

  test('publish and tail exchange events in two processes', async () => {
    const topic = nextTopic();
    const tail = new Millrace(['tail', topic, 'order.*', '--count', '3'], options());
    await tail.said(`Waiting for events of '${topic}' (order.*)`);
    const one = await run(['publish', 'order.placed', '{"id":"A-1"}', '-t', topic], options());
    expect(one).toEqual({
      exitCode: 0,
      stdout: ` [x] Published order.placed '{"id":"A-1"}'\n`,
      stderr: '',
    });
    const args = ['publish', 'order.line', '-l', '-t', topic, '--json'];
    const many = await run(args, { ...options(), input: 'a\nb\n' });
    expect(many.exitCode).toBe(0);
    expect(JSON.parse(many.stdout)).toMatchObject({ published: 2, routed: 2, event: 'order.line', topic });
    expect(await tail.exit()).toBe(0);
    expect(tail.stdout).toBe(` [x] order.placed '{"id":"A-1"}'\n [x] order.line 'a'\n [x] order.line 'b'\n`);
  });

  test('an event that no subscription takes is dropped with a warning, and an error with --mandatory', async () => {
    const topic = nextTopic();
    const dropped = await run(['publish', 'a', 'x', '-t', topic], options());
    expect(dropped).toMatchObject({ exitCode: 0, stdout: " [x] Published a 'x'\n" });
    expect(dropped.stderr).toBe(
      ` [!] the topic '${topic}' did not exist and was created; no subscription of '${topic}' takes 'a'\n`,
    );
    const again = await run(['publish', 'a', 'x', '-t', topic], options());
    expect(again.stderr).toBe(` [!] no subscription of '${topic}' takes 'a'\n`);
    const json = await run(['publish', 'a', 'x', '-t', topic, '--json'], options());
    expect(JSON.parse(json.stdout)).toMatchObject({ routed: false });
    expect(json.stderr).toBe('');
    const refused = await run(['publish', 'a', 'x', '-t', topic, '--mandatory'], options());
    expect(refused).toMatchObject({ exitCode: 75, stdout: '' });
    expect(refused.stderr).toMatch(/^millrace: .*no queue .*\n$/);
  });

  test('publish --mandatory to a topic that does not exist is exit code 4, and does not create it', async () => {
    const missing = nextTopic();
    for (let attempt = 0; attempt < 2; attempt++) {
      const ended = await run(['publish', 'a', 'x', '-t', missing, '--mandatory'], options());
      expect(ended).toMatchObject({ exitCode: 4, stdout: '' });
      expect(ended.stderr).toContain(missing);
    }
  });

  test('send --exchange reaches the queues bound by its routing key, and nothing else', async () => {
    const topic = nextTopic();
    const tail = new Millrace(['tail', topic, 'error', '--json', '--count', '1'], options());
    await tail.said(`Waiting for events of '${topic}'`);
    const missed = await run(['send', 'x', '-e', topic, '-k', 'info'], options());
    expect(missed).toMatchObject({ exitCode: 75, stdout: '' });
    const sent = await run(['send', 'out of grain', '-e', topic, '-k', 'error', '--json'], options());
    expect(JSON.parse(sent.stdout)).toMatchObject({ exchange: topic, routingKey: 'error' });
    expect(await tail.exit()).toBe(0);
    expect(JSON.parse(tail.stdout)).toMatchObject({ routingKey: 'error', body: 'out of grain' });
  });

  test('send to an exchange that does not exist is exit code 4, and does not create it', async () => {
    const missing = nextTopic();
    for (let attempt = 0; attempt < 2; attempt++) {
      const ended = await run(['send', 'x', '-e', missing], options());
      expect(ended).toMatchObject({ exitCode: 4, stdout: '' });
      expect(ended.stderr).toContain(missing);
    }
  });
});

test('an event is named by its routing key and its type, for subscribers of any library', async () => {
  const [topic, queue] = [nextTopic(), nextQueue()];
  await channel.assertExchange(topic, 'topic', { durable: true });
  await channel.assertQueue(queue, { durable: true });
  await channel.bindQueue(queue, topic, '#');
  const options = ['--id', 'e-1', '--app-id', 'shop', '-H', 'n:=3'];
  expect((await run(['publish', 'order.placed', '[1]', '-t', topic, ...options])).exitCode).toBe(0);
  const [message] = await takeAll(channel, queue);
  expect(message?.fields).toMatchObject({ exchange: topic, routingKey: 'order.placed' });
  expect(message?.properties).toMatchObject({
    messageId: 'e-1',
    type: 'order.placed',
    appId: 'shop',
    contentType: 'application/json',
    headers: { n: 3 },
  });
  expect(texts(message === undefined ? [] : [message])).toEqual(['[1]']);
});

test.each([
  ['without a topic', ['publish', 'a', 'x'], '--topic'],
  ['of an event with an empty word', ['publish', 'a..b', 'x', '-t', 'shop'], 'a..b'],
  ['of an event that is a pattern', ['publish', 'a.*', 'x', '-t', 'shop'], 'a.*'],
  ['without a message', ['publish', 'a', '-t', 'shop'], 'nothing to send'],
  ['to a queue and an exchange', ['send', 'x', '-q', 'a', '-e', 'b'], '--exchange'],
  ['with a routing key and no exchange', ['send', 'x', '-k', 'a'], '--exchange'],
])('sending %s is a usage error', async (_what, args, text) => {
  const ended = await run(args);
  expect(ended).toMatchObject({ exitCode: 2, stdout: '' });
  expect(ended.stderr).toContain(text);
});

const DOCUMENTED = 'test/cli/commands/topology/documented.mjs';
const cancelled = { id: '7b8f2bd4-0a3c-4c5e-9a55-1f2d3c4b5a69', why: 'late' };

test.each([
  ['publish', ['publish', 'order.cancelled', '-t', 'shop', '--schema', DOCUMENTED]],
  ['send', ['send', '-q', 'orders', '--schema', 'test/cli/commands/topology/cancelled.mjs']],
])('%s --schema sends what fits it, and refuses the rest with exit code 65', async (_command, args) => {
  const options = { env: { MILLRACE_URL: `local:${join(folder, 'schema')}` } };
  const fits = await run([...args, JSON.stringify(cancelled)], options);
  expect(fits.exitCode).toBe(0);
  const other = await run([...args, JSON.stringify({ ...cancelled, why: 'rain' })], options);
  expect(other).toMatchObject({ exitCode: 65, stdout: '' });
  expect(other.stderr).toMatch(/fails its schema: why: /);
  const text = await run([...args, 'rain'], options);
  expect(text.exitCode).toBe(65);
  const lines = `${JSON.stringify(cancelled)}\n{}\n`;
  const second = await run([...args, '-l'], { ...options, input: lines });
  // The first line was stored.
  expect(second.exitCode).toBe(3);
  expect(second.stderr).toContain('line 2: ');
});

test.each([
  [
    'an event that its topic does not have',
    ['order.lost', '-t', 'shop'],
    65,
    'order.placed, order.cancelled',
  ],
  ['a topic that the module does not define', ['order.placed', '-t', 'shpo'], 78, "not 'shpo'"],
])('publish --schema refuses %s', async (_what, args, exitCode, text) => {
  const ended = await run(['publish', ...args, '--schema', DOCUMENTED, 'x']);
  expect(ended).toMatchObject({ exitCode, stdout: '' });
  expect(ended.stderr).toContain(text);
});
