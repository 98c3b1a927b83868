import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../../../src/connect.js';
import { amqpUrl } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import {
  consume,
  declareAsTutorial,
  queueNames,
  rawChannel,
  ready,
  takeAll,
  texts,
} from '../support/queues.js';
import { Millrace, millrace, type SpawnOptions } from '../support/spawn-millrace.js';

const nextQueue = queueNames('cli-send');
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-send-'));
afterAll(() => rmSync(folder, { recursive: true }));

let channel: ConfirmChannel;
beforeAll(async () => {
  channel = await rawChannel();
});

function send(args: readonly string[], options?: SpawnOptions) {
  return millrace(['send', ...args], { env: { MILLRACE_URL: amqpUrl() }, ...options });
}

test('words become one message, and the wire carries exactly the text', async () => {
  const queue = nextQueue();
  const ended = await send(['-q', queue, 'Hello', 'World!']);
  expect(ended).toEqual({ exitCode: 0, stdout: " [x] Sent 'Hello World!'\n", stderr: '' });
  const [message, ...more] = await takeAll(channel, queue);
  expect(more).toEqual([]);
  expect(message?.content).toEqual(Buffer.from('Hello World!'));
  expect(message?.properties).toMatchObject({ contentType: 'text/plain', deliveryMode: 2 });
});

test("the queue 'hello' is made as the tutorials declare it", async () => {
  expect((await send(['x'])).exitCode).toBe(0);
  // Refused, and the channel closed, if it had any other argument.
  await declareAsTutorial(channel, 'hello');
});

test.each([
  ['a durable classic queue', { durable: true, arguments: { 'x-queue-type': 'classic' } }],
  [
    'a quorum queue with arguments of its own',
    { arguments: { 'x-queue-type': 'quorum', 'x-max-length': 5 } },
  ],
  ['a queue that expires', { durable: true, autoDelete: true, arguments: { 'x-expires': 60_000 } }],
])('%s is taken as it is', async (_what, options) => {
  const queue = nextQueue();
  await channel.assertQueue(queue, options);
  expect((await send(['-q', queue, 'x'])).exitCode).toBe(0);
  expect(texts(await takeAll(channel, queue))).toEqual(['x']);
});

test('the properties of a message are those of its options', async () => {
  const queue = nextQueue();
  const options = ['--type', 'order.placed', '--app-id', 'shop', '--ttl', '1h', '--priority', '7'];
  const headers = ['-H', 'tenant: blue', '-H', 'attempts:=3', '-H', 'tags:=["a"]'];
  expect(await send(['-q', queue, 'x', '--id', 'A-1', ...options, ...headers])).toMatchObject({
    exitCode: 0,
  });
  expect(await send(['-q', queue, '-l', ...options, ...headers], { input: 'y\nz\n' })).toMatchObject({
    exitCode: 0,
  });
  const messages = await takeAll(channel, queue);
  expect(texts(messages)).toEqual(['x', 'y', 'z']);
  expect(messages[0]?.properties.messageId).toBe('A-1');
  for (const { properties } of messages) {
    expect(properties).toMatchObject({ type: 'order.placed', appId: 'shop', priority: 7 });
    expect(properties.headers).toMatchObject({ tenant: 'blue', attempts: 3, tags: ['a'] });
    expect(Number(properties.headers?.['x-millrace-expires-at'])).toBeGreaterThan(Date.now() + 3_000_000);
  }
});

test('piped input is one message, including line ends', async () => {
  const queue = nextQueue();
  const ended = await send(['-q', queue], { input: 'one\ntwo\n' });
  expect(ended).toMatchObject({ exitCode: 0, stdout: " [x] Sent 'one\ntwo\n'\n" });
  expect(texts(await takeAll(channel, queue))).toEqual(['one\ntwo\n']);
});

test('- reads the standard input', async () => {
  const queue = nextQueue();
  expect((await send(['-q', queue, '-'], { input: 'piped' })).exitCode).toBe(0);
  expect(texts(await takeAll(channel, queue))).toEqual(['piped']);
});

test('words win over what happens to be piped in', async () => {
  const queue = nextQueue();
  expect((await send(['-q', queue, 'words'], { input: 'piped' })).exitCode).toBe(0);
  expect(texts(await takeAll(channel, queue))).toEqual(['words']);
});

test('the bytes of a file come through as they are', async () => {
  const queue = nextQueue();
  const path = join(folder, 'bytes');
  const bytes = Buffer.from([0xff, 0x00, 0x0a, 0x80]);
  writeFileSync(path, bytes);
  const ended = await send(['-q', queue, '-f', path]);
  expect(ended).toMatchObject({ exitCode: 0, stdout: " [x] Sent '\\xff\\x00\\x0a\\x80'\n" });
  const [message] = await takeAll(channel, queue);
  expect(message?.content).toEqual(bytes);
  expect(message?.properties.contentType).toBe('application/octet-stream');
});

test('id, headers, priority and content type are the message’s own', async () => {
  const queue = nextQueue();
  const options = ['--id', 'order-7', '-H', 'tenant: blue', '-H', 'link:http://h', '--priority', '9'];
  const json = ['--content-type', 'application/json', '{"total":1}'];
  expect((await send(['-q', queue, ...options, ...json])).exitCode).toBe(0);
  const [message] = await takeAll(channel, queue);
  expect(message?.properties).toMatchObject({
    messageId: 'order-7',
    priority: 9,
    contentType: 'application/json',
    headers: { tenant: 'blue', link: 'http://h' },
  });
});

test.each([
  ['{"id":"A-1","total":12.5}', 'application/json'],
  [' [1, 2]\n', 'application/json'],
  ['{ not: json }', 'text/plain'],
  ['{"a":1} and more', 'text/plain'],
  ['42', 'text/plain'],
  ['"text"', 'text/plain'],
  ['', 'text/plain'],
  // A queue would refuse to parse it.
  ['{"__proto__":{}}', 'text/plain'],
])('%j is sent as %s', async (body, contentType) => {
  const queue = nextQueue();
  expect((await send(['-q', queue], { input: body })).exitCode).toBe(0);
  const [message] = await takeAll(channel, queue);
  expect(message?.properties.contentType).toBe(contentType);
  expect(message?.content.toString()).toBe(body);
});

test('JSON is JSON line by line, unless the content type is given', async () => {
  const queue = nextQueue();
  const input = '{"a":1}\nplain\n';
  expect((await send(['-q', queue, '-l'], { input })).exitCode).toBe(0);
  expect((await send(['-q', queue, '-l', '--content-type', 'text/plain'], { input })).exitCode).toBe(0);
  const types = (await takeAll(channel, queue)).map(({ properties }) => properties.contentType);
  expect(types).toEqual(['application/json', 'text/plain', 'text/plain', 'text/plain']);
});

test('JSON typed at the prompt reaches a handler module as a value', async () => {
  const queue = nextQueue();
  const handler = join(folder, 'handler.mjs');
  writeFileSync(handler, 'export default (order) => console.log(typeof order, order.total);');
  await send(['-q', queue, '{"id":"A-1","total":12.5}']);
  const worker = await millrace(['work', handler, '-q', queue, '--count', '1', '-u', amqpUrl()]);
  expect(worker).toMatchObject({ exitCode: 0, stdout: 'object 12.5\n' });
});

test('--json prints id, queue and broker', async () => {
  const queue = nextQueue();
  const { exitCode, stdout } = await send(['-q', queue, '--json', 'x']);
  expect(exitCode).toBe(0);
  const printed = JSON.parse(stdout) as { id: string };
  expect(printed).toEqual({
    id: expect.any(String),
    queue,
    broker: expect.stringMatching(/^amqp:\/\//),
  });
  const [message] = await takeAll(channel, queue);
  expect(message?.properties.messageId).toBe(printed.id);
});

test('--quiet prints nothing', async () => {
  const ended = await send(['-q', nextQueue(), '--quiet', 'x']);
  expect(ended).toEqual({ exitCode: 0, stdout: '', stderr: '' });
});

test('--lines sends each line, in order and by the ten thousands', async () => {
  const queue = nextQueue();
  const count = 50_000;
  const numbers = Array.from({ length: count }, (_, index) => String(index));
  const ended = await send(['-q', queue, '-l'], { input: `${numbers.join('\r\n')}` });
  expect(ended).toEqual({ exitCode: 0, stdout: ` [x] Sent ${count} messages to '${queue}'\n`, stderr: '' });
  expect(await ready(channel, queue)).toBe(count);
  expect(texts(await consume(channel, queue, count))).toEqual(numbers);
});

test('--lines of a file, empty ones too', async () => {
  const queue = nextQueue();
  const path = join(folder, 'lines');
  writeFileSync(path, 'one\n\ntwo\n');
  const { stdout } = await send(['-q', queue, '-l', '-f', path, '--json']);
  expect(JSON.parse(stdout)).toEqual({ sent: 3, queue, broker: expect.any(String) });
  expect(texts(await takeAll(channel, queue))).toEqual(['one', '', 'two']);
});

test('a message over the size limit is exit code 65, and nothing is sent', async () => {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  const { exitCode, stderr } = await send(['-q', queue], { input: Buffer.alloc(1024 * 1024 + 1, 'x') });
  expect(exitCode).toBe(65);
  expect(stderr).toMatch(/^millrace: .*1048576 bytes.*\n$/);
  expect(await ready(channel, queue)).toBe(0);
});

test('lines before one that is too long are sent: exit code 3, and which line it is', async () => {
  const queue = nextQueue();
  const input = `one\ntwo\n${'x'.repeat(1024 * 1024 + 1)}\nfour\n`;
  const { exitCode, stdout, stderr } = await send(['-q', queue, '-l'], { input });
  expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: '' });
  expect(stderr).toMatch(/^millrace: 2 of the 2 lines read are stored; line 3.*\n$/);
  expect(texts(await takeAll(channel, queue))).toEqual(['one', 'two']);
});

test('a full queue that stays full is exit code 75', async () => {
  const queue = nextQueue();
  await channel.assertQueue(queue, {
    durable: true,
    arguments: { 'x-queue-type': 'classic', 'x-max-length': 1, 'x-overflow': 'reject-publish' },
  });
  const first = await send(['-q', queue, 'first']);
  expect(first.exitCode).toBe(0);
  const second = await send(['-q', queue, '--timeout', '300ms', 'second']);
  expect({ exitCode: second.exitCode, stdout: second.stdout }).toEqual({ exitCode: 75, stdout: '' });
  expect(second.stderr).toMatch(/^millrace: .*\n$/);
  expect(texts(await takeAll(channel, queue))).toEqual(['first']);
});

test('long lines wait by their bytes: a full queue stops the reading long before a thousand of them', async () => {
  const queue = nextQueue();
  await channel.assertQueue(queue, {
    durable: true,
    arguments: { 'x-queue-type': 'classic', 'x-max-length': 1, 'x-overflow': 'reject-publish' },
  });
  const input = `${'x'.repeat(1_000_000)}\n`.repeat(100);
  const { exitCode, stderr } = await send(['-q', queue, '-l', '--timeout', '3s'], { input });
  expect([3, 75]).toContain(exitCode);
  const [, stored, taken] = /(\d+) of the (\d+) lines read/.exec(stderr) ?? [];
  const waiting = Number(taken) - Number(stored);
  expect(waiting).toBeGreaterThan(0);
  // 16 MiB, and the line that goes over it.
  expect(waiting).toBeLessThanOrEqual(17);
});

test('what fails after many batches is counted over all of them', async () => {
  const queue = nextQueue();
  const input = `${'x'.repeat(1_000_000)}\n`.repeat(40) + 'y'.repeat(1024 * 1024 + 1);
  const { exitCode, stderr } = await send(['-q', queue, '-l'], { input });
  expect(exitCode).toBe(3);
  expect(stderr).toMatch(/^millrace: 40 of the 40 lines read are stored; line 41.*\n$/);
});

test('a long body is not echoed in full', async () => {
  const queue = nextQueue();
  const { stdout } = await send(['-q', queue], { input: 'x'.repeat(100_000) });
  expect(stdout).toBe(` [x] Sent '${'x'.repeat(200)}…' (100000 bytes)\n`);
  const accents = await send(['-q', queue], { input: `x${'é'.repeat(1000)}` });
  expect(accents.stdout).toBe(` [x] Sent 'x${'é'.repeat(99)}…' (2001 bytes)\n`);
});

test('a signal ends the reading of lines, and says how many are stored', async () => {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  const run = new Millrace(['send', '-q', queue, '-l', '-u', amqpUrl()], { input: { open: true } });
  run.child.stdin?.write('one\ntwo\n');
  await eventually(async () => (await ready(channel, queue)) === 2);
  run.child.kill('SIGINT');
  expect(await run.exit()).toBe(130);
  expect(run.stderr).toBe('millrace: ended by SIGINT: 2 of the 2 lines read are stored\n');
});

test('--delay and --at deliver the message later, and a time that is over says so', async () => {
  const address = `local:${join(folder, 'later')}`;
  const later = (...args: readonly string[]) =>
    send(['-q', 'later', ...args], { env: { MILLRACE_URL: address } });
  const nextYear = new Date(Date.now() + 365 * 24 * 3600 * 1000).toISOString();
  expect(await later('a', '--at', nextYear)).toMatchObject({ exitCode: 0, stderr: '' });
  expect(await later('b', '--delay', '1h')).toMatchObject({ exitCode: 0, stderr: '' });
  const past = await later('c', '--at', '2020-01-01T03:00+01:00');
  expect(past.stderr).toBe(' [!] 2020-01-01T02:00:00.000Z is over: it was sent without a delay\n');
  await using broker = await connect(address);
  expect((await broker.inspect('later')).ready).toBe(1);
});

test.each([
  [['--delay', '5'], /Add a unit, such as 5s or 5ms/],
  [['--delay', '30 days'], /Write a duration of up to 24 days/],
  [['--at', '2026-12-01T03:00'], /Write a time with its zone, such as 2026-12-01T03:00Z/],
  [['--at', 'tomorrow'], /Write a time with its zone/],
  [['--at', '2050-12-01T03:00Z'], /at: expected a valid Date within eight years/],
  [['--at', '2026-12-01T03:00Z', '--delay', '5m'], /--delay and --at exclude each other/],
  [['-e', 'logs', '--delay', '5m'], /--delay is for messages to a queue: an exchange routes at once/],
] as const)('%j is refused with a sentence', async (args, text) => {
  const { exitCode, stderr } = await send(['x', ...args], {
    env: { MILLRACE_URL: `local:${join(folder, 'refused')}` },
  });
  expect(exitCode).toBe(2);
  expect(stderr).toMatch(text);
});
