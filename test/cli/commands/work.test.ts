import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { amqpUrl, managementApi, uniqueName } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { declareAsTutorial, put, queueNames, rawChannel, ready, takeAll, texts } from '../support/queues.js';
import { Millrace, millrace } from '../support/spawn-millrace.js';

const nextQueue = queueNames('cli-work');
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-work-'));
afterAll(() => rmSync(folder, { recursive: true }));

let channel: ConfirmChannel;
beforeAll(async () => {
  channel = await rawChannel();
});

const env = () => ({ MILLRACE_URL: amqpUrl() });

function work(args: readonly string[]) {
  return millrace(['work', ...args], { env: env() });
}

async function filled(...bodies: readonly string[]): Promise<string> {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  await put(channel, queue, ...bodies);
  return queue;
}

function module(name: string, source: string): string {
  const path = join(folder, name);
  writeFileSync(path, source);
  return path;
}

test('send and work exchange a message in two processes', async () => {
  const queue = nextQueue();
  const worker = new Millrace(['work', '-q', queue], { env: env() });
  await worker.said(`Waiting for messages in '${queue}'. To exit press CTRL+C`);
  await millrace(['send', '-q', queue, 'Hello World!'], { env: env() });
  await worker.said(" [x] Received 'Hello World!'\n");
  worker.child.kill('SIGINT');
  expect(await worker.exit()).toBe(0);
  expect(worker.stdout).toBe(" [x] Received 'Hello World!'\n");
  expect(await ready(channel, queue)).toBe(0);
});

test('messages of any other sender are printed, whatever they are labelled as', async () => {
  const queue = nextQueue();
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'classic' } });
  channel.sendToQueue(queue, Buffer.from('no label'));
  channel.sendToQueue(queue, Buffer.from('{ not: json }'), { contentType: 'application/json' });
  channel.sendToQueue(queue, Buffer.from([0xff, 0x41]), { contentType: 'image/png' });
  channel.sendToQueue(queue, Buffer.from(''));
  await channel.waitForConfirms();
  const { exitCode, stdout } = await work(['-q', queue, '--drain']);
  expect({ exitCode, lines: stdout.split('\n') }).toEqual({
    exitCode: 0,
    lines: [
      " [x] Received 'no label'",
      " [x] Received '{ not: json }'",
      " [x] Received '\\xffA'",
      " [x] Received ''",
      '',
    ],
  });
});

test('--json prints a line for each message', async () => {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  channel.sendToQueue(queue, Buffer.from('text'), { messageId: 'a', headers: { tenant: 'blue' } });
  channel.sendToQueue(queue, Buffer.from([0xff]), { messageId: 'b' });
  await channel.waitForConfirms();
  const { exitCode, stdout, stderr } = await work(['-q', queue, '--drain', '--json']);
  expect(exitCode).toBe(0);
  const [first, second] = jsonLines(stdout);
  const common = { queue, attempt: 1, redelivered: false };
  expect(first).toMatchObject({ id: 'a', ...common, headers: { tenant: 'blue' }, body: 'text' });
  expect(second).toMatchObject({ id: 'b', ...common, bodyBase64: '/w==' });
  expect(jsonLines(stderr)[0]).toMatchObject({ event: 'started', queue });
});

test('the log is JSON line by line where it is not a terminal', async () => {
  const queue = await filled('x');
  const { stderr } = await work(['-q', queue, '--count', '1', '--retry', 'none', '--exec', 'exit 1']);
  const events = stderr
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { event: string }).event);
  expect(events).toEqual(['started', 'dead-lettered', 'summary']);
});

test('--quiet prints the messages and nothing else', async () => {
  const queue = await filled('x');
  const ended = await work(['-q', queue, '--quiet', '--drain']);
  expect(ended).toEqual({ exitCode: 0, stdout: " [x] Received 'x'\n", stderr: '' });
});

test('--count takes exactly so many messages and leaves the rest, untouched by any delivery', async () => {
  const queue = await filled('1', '2', '3', '4', '5', '6', '7', '8');
  const { exitCode, stdout } = await work(['-q', queue, '--count', '3', '-c', '2']);
  expect(exitCode).toBe(0);
  expect(stdout.trimEnd().split('\n')).toHaveLength(3);
  const left = await eventually(async () => (await ready(channel, queue)) === 5 && takeAll(channel, queue));
  expect(texts(left).sort()).toEqual(['4', '5', '6', '7', '8']);
});

test('--count waits for messages that are still to come', async () => {
  const queue = await filled();
  const worker = new Millrace(['work', '-q', queue, '--count', '2'], { env: env() });
  await worker.said('Waiting');
  await put(channel, queue, 'a', 'b', 'c');
  expect(await worker.exit()).toBe(0);
  expect(worker.stdout).toBe(" [x] Received 'a'\n [x] Received 'b'\n");
});

test('--drain ends when all is handled', async () => {
  const numbers = Array.from({ length: 500 }, (_, index) => String(index));
  const queue = await filled(...numbers);
  const { exitCode, stdout } = await work(['-q', queue, '--drain']);
  expect(exitCode).toBe(0);
  expect(stdout).toBe(numbers.map((number) => ` [x] Received '${number}'\n`).join(''));
  expect(await ready(channel, queue)).toBe(0);
});

test('--drain waits for messages in flight', async () => {
  const queue = await filled('1', '2', '3');
  const args = ['-q', queue, '--drain', '-c', '3', '--exec', 'sleep 1; cat >>"$OUT"'];
  const out = join(folder, 'in-flight');
  const ended = await millrace(['work', ...args], { env: { ...env(), OUT: out } });
  expect(ended.exitCode).toBe(0);
  expect([...readFileSync(out, 'utf8')].sort()).toEqual(['1', '2', '3']);
});

test('--drain of an empty queue is exit code 4', async () => {
  const queue = await filled();
  expect(await work(['-q', queue, '--drain'])).toMatchObject({ exitCode: 4, stdout: '' });
});

test('--exec passes the body on standard input and the properties in the environment', async () => {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  channel.sendToQueue(queue, Buffer.from([0xff, 0x0a]), { messageId: 'm-1' });
  await channel.waitForConfirms();
  const command = 'od -An -tx1; echo "$MILLRACE_ID $MILLRACE_ATTEMPT $MILLRACE_QUEUE"; echo noise >&2';
  const { exitCode, stdout, stderr } = await work(['-q', queue, '--drain', '--exec', command]);
  expect(exitCode).toBe(0);
  expect(stdout).toBe(` ff 0a\nm-1 1 ${queue}\n`);
  expect(stderr).toContain('noise');
  expect(await ready(channel, queue)).toBe(0);
});

test('--exec passes the headers and properties of the message', async () => {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  const headers = { odd: 'a\nb"c\u0000', tenant: 'blue' };
  const timestamp = 1_764_000_000;
  channel.sendToQueue(queue, Buffer.from('x'), {
    messageId: 'm\u0000-1',
    correlationId: 'c-1',
    replyTo: 'answers',
    timestamp,
    headers,
  });
  channel.sendToQueue(queue, Buffer.from('x'), { headers: { huge: '\u0001'.repeat(30_000) } });
  await channel.waitForConfirms();
  const print = 'printf \'%s|\' "$MILLRACE_ID" "$MILLRACE_CORRELATION_ID" "$MILLRACE_REPLY_TO"';
  const command = `${print} "$MILLRACE_TIMESTAMP" "$MILLRACE_REDELIVERED" "$MILLRACE_HEADERS"; echo`;
  const { exitCode, stdout } = await work(['-q', queue, '--drain', '--exec', command]);
  expect(exitCode).toBe(0);
  const [first = '', second = ''] = stdout.split('\n');
  expect(first).toBe(`m-1|c-1|answers|${timestamp * 1000}|false|${JSON.stringify(headers)}|`);
  expect(second).toMatch(/\|\|\|\|false\|\|$/);
});

test('work on a subscription passes on what kind of message it is, and where it was published', async () => {
  const [queue, topic] = [nextQueue(), uniqueName('cli-work-topic')];
  await channel.assertExchange(topic, 'topic', { durable: true });
  try {
    await declareAsTutorial(channel, queue);
    await channel.bindQueue(queue, topic, 'order.*');
    const options = { messageId: 'A-1', type: 'order.placed', appId: 'shop' };
    for (const body of ['x', 'y']) channel.publish(topic, 'order.placed', Buffer.from(body), options);
    await channel.waitForConfirms();
    const json = await work(['-q', queue, '--count', '1', '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      queue,
      exchange: topic,
      routingKey: 'order.placed',
      body: 'x',
    });
    const names = ['EXCHANGE', 'ROUTING_KEY', 'TYPE', 'APP_ID'].map((name) => `$MILLRACE_${name}`);
    const { stdout } = await work(['-q', queue, '--drain', '--exec', `echo "${names.join(' ')}"`]);
    expect(stdout).toBe(`${topic} order.placed order.placed shop\n`);
  } finally {
    await channel.deleteExchange(topic);
  }
});

test('--exec that does not read its input is no failure', async () => {
  const queue = await filled('x'.repeat(500_000));
  expect((await work(['-q', queue, '--count', '1', '--exec', 'exit 0'])).exitCode).toBe(0);
  expect(await ready(channel, queue)).toBe(0);
});

test('--exec that fails has the message tried again, and acknowledged when it succeeds', async () => {
  const queue = await filled('x');
  const command = 'test "$MILLRACE_ATTEMPT" = 2';
  const { exitCode, stderr } = await work([
    ...['-q', queue, '--count', '2', '--retry', '10ms', '--exec', command],
  ]);
  expect(exitCode).toBe(0);
  expect(jsonLines(stderr)).toContainEqual(
    expect.objectContaining({
      event: 'retried',
      attempt: 1,
      error: 'the command exited with 1',
      delayMs: 10,
    }),
  );
  expect(await ready(channel, queue)).toBe(0);
});

test('--exec that fails for the last time makes a dead letter that says why: exit code 1', async () => {
  const queue = await filled('x');
  const { exitCode, stderr } = await work([
    '-q',
    queue,
    '--count',
    '1',
    '--retry',
    'none',
    '--exec',
    'exit 7',
  ]);
  expect(exitCode).toBe(1);
  expect(jsonLines(stderr).at(-2)).toMatchObject({
    event: 'dead-lettered',
    error: 'the command exited with 7',
  });
  expect(jsonLines(stderr).at(-1)).toMatchObject({ event: 'summary', queue, handled: 0, deadLettered: 1 });
  const [dead] = await takeAll(channel, `${queue}.dead`);
  expect(dead?.content.toString()).toBe('x');
  expect(dead?.properties.headers).toMatchObject({
    'x-millrace-reason': 'failed',
    'x-millrace-error': 'the command exited with 7',
  });
});

test('some handled and some not is exit code 3', async () => {
  const queue = await filled('good', 'bad');
  const args = ['-q', queue, '--drain', '--retry', 'none', '--exec', 'grep -q good'];
  expect((await work(args)).exitCode).toBe(3);
  expect(texts(await takeAll(channel, `${queue}.dead`))).toEqual(['bad']);
});

test('--handler-timeout ends a command that takes too long, and all that it has started', async () => {
  const queue = await filled('x');
  const pidFile = join(folder, 'pid');
  const command = `sleep 600 & echo $! >'${pidFile}'; wait`;
  const limits = ['--handler-timeout', '3s', '--retry', 'none'];
  const { exitCode, stderr } = await work(['-q', queue, '--count', '1', ...limits, '--exec', command]);
  expect(exitCode).toBe(1);
  expect(jsonLines(stderr).at(-2)).toMatchObject({
    event: 'dead-lettered',
    error: expect.stringContaining('3000 ms'),
  });
  const pid = Number(readFileSync(pidFile, 'utf8'));
  await eventually(() => !isRunning(pid));
});

test('a handler module gets the value decoded by its content type, and the context', async () => {
  const path = module(
    'echo.mjs',
    `export default async (value, { id, attempt }) => {
       console.log(JSON.stringify({ value: value instanceof Uint8Array ? [...value] : value, id, attempt }));
     };`,
  );
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  const send = (body: Buffer, contentType: string, messageId: string) =>
    channel.sendToQueue(queue, body, { contentType, messageId });
  send(Buffer.from('{"total":1}'), 'application/json', 'json');
  send(Buffer.from('{"total":1}'), 'text/plain', 'text');
  send(Buffer.from('plain'), '', 'none');
  send(Buffer.from([0xff]), 'image/png', 'bytes');
  await channel.waitForConfirms();
  const { exitCode, stdout } = await work(['-q', queue, '--drain', path]);
  expect(exitCode).toBe(0);
  expect(jsonLines(stdout)).toEqual([
    { value: { total: 1 }, id: 'json', attempt: 1 },
    { value: '{"total":1}', id: 'text', attempt: 1 },
    { value: 'plain', id: 'none', attempt: 1 },
    { value: [255], id: 'bytes', attempt: 1 },
  ]);
});

test('a handler module that throws has the message tried again', async () => {
  const path = module(
    'second-time.mjs',
    `export default (value, { attempt }) => {
       if (attempt === 1) throw new Error('not yet');
       console.log(value + ' at attempt ' + attempt);
     };`,
  );
  const queue = await filled('done');
  const { exitCode, stdout, stderr } = await work(['-q', queue, '--count', '2', '--retry', '0', path]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: 'done at attempt 2\n' });
  expect(jsonLines(stderr)).toContainEqual(expect.objectContaining({ event: 'retried', error: 'not yet' }));
});

test('a worker whose command has finished exits, whatever its handler module leaves open', async () => {
  const path = module('open.mjs', 'setInterval(() => {}, 1000);\nexport default () => {};\n');
  const queue = await filled('x');
  expect((await work(['-q', queue, '--count', '1', path])).exitCode).toBe(0);
});

test.each([
  ['until it is stopped', []],
  ['for a number of messages', ['--count', '1']],
])(
  'a reader that goes away ends a worker %s quietly, and what it did not read stays',
  async (_what, limit) => {
    const queue = nextQueue();
    const worker = new Millrace(['work', '-q', queue, ...limit], { env: env() });
    await worker.said('Waiting');
    worker.child.stdout?.destroy();
    await put(channel, queue, 'unread');
    expect(await worker.exit()).toBe(0);
    expect(worker.stderr).not.toContain('EPIPE');
    const left = await eventually(async () => (await ready(channel, queue)) === 1 && takeAll(channel, queue));
    expect(texts(left)).toEqual(['unread']);
  },
);

test('a worker whose queue is deleted declares it again and continues', async () => {
  const queue = await filled();
  const worker = new Millrace(['work', '-q', queue], { env: env() });
  await worker.said('Waiting');
  await channel.deleteQueue(queue);
  await worker.said('"event":"resubscribed"');
  await put(channel, queue, 'after all');
  await worker.said("Received 'after all'");
  worker.child.kill('SIGTERM');
  expect(await worker.exit()).toBe(0);
});

test('a worker that can not go on ends with the exit code of the reason', async () => {
  const queue = await filled();
  const user = uniqueName('cli-user');
  const permissions = `/api/permissions/%2F/${user}`;
  const everything = { configure: '.*', write: '.*', read: '.*' };
  await managementApi('PUT', `/api/users/${user}`, { password: 'pw-7b', tags: '' });
  await managementApi('PUT', permissions, everything);
  try {
    const url = new URL(amqpUrl());
    url.username = user;
    url.password = 'pw-7b';
    const worker = new Millrace(['work', '-q', queue, '-u', url.href]);
    await worker.said('Waiting');
    await managementApi('PUT', permissions, { ...everything, configure: '^$', read: '^$' });
    await channel.deleteQueue(queue);
    expect(await worker.exit()).toBe(77);
    expect(worker.stderr).toMatch(/^millrace: .*\n$/m);
    expect(worker.stderr).not.toContain('pw-7b');
  } finally {
    await managementApi('DELETE', `/api/users/${user}`);
  }
});

test('control characters are escaped in a pipe as well, which may end at a terminal; JSON carries them', async () => {
  const queue = await filled('\u001b[1mbold');
  expect((await work(['-q', queue, '--count', '1'])).stdout).toBe(" [x] Received '\\x1b[1mbold'\n");
  await put(channel, queue, '\u001b[1mbold');
  const { stdout } = await work(['-q', queue, '--drain', '--json']);
  expect(jsonLines(stdout)).toMatchObject([{ body: '\u001b[1mbold' }]);
});

test('RejectMessage of another copy of the package makes a dead letter at once', async () => {
  // As of a global `millrace`, whose handler imports the package of its own project.
  copyFileSync(new URL('../../../dist/errors.js', import.meta.url), join(folder, 'errors.mjs'));
  const handler = module(
    'rejects.mjs',
    `import { RejectMessage } from './errors.mjs';
     export default () => { throw new RejectMessage('no licence'); };`,
  );
  const { exitCode, stderr } = await work([handler, '-q', await filled('x'), '--count', '1']);
  expect(exitCode).toBe(1);
  const dead = jsonLines(stderr).find((line) => (line as { event: string }).event === 'dead-lettered');
  expect(dead).toMatchObject({ reason: 'rejected', error: 'no licence', attempt: 1 });
});

test('--report says from time to time how much is done', async () => {
  const queue = await filled('1', '2');
  const worker = new Millrace(['work', '-q', queue, '--report', '50ms'], { env: env() });
  await worker.said('"event":"counts"');
  await worker.said("Received '2'");
  worker.child.kill('SIGTERM');
  expect(await worker.exit()).toBe(0);
  expect(jsonLines(worker.stderr).at(-1)).toMatchObject({ event: 'summary', queue, handled: 2, retried: 0 });
});

test('a worker reconnects after its connections are lost, and logs it', async () => {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port || 5672) });
  try {
    const queue = await filled();
    const worker = new Millrace(['work', '-q', queue, '-u', proxy.url(amqpUrl())]);
    await worker.said('Waiting');
    proxy.cut();
    await worker.said('"event":"disconnected"');
    await worker.said('"event":"resubscribed"');
    await put(channel, queue, 'after the cut');
    await worker.said("Received 'after the cut'");
    worker.child.kill('SIGTERM');
    expect(await worker.exit()).toBe(0);
    const lines = jsonLines(worker.stderr) as { event: string; link?: string }[];
    expect(lines).toContainEqual(expect.objectContaining({ event: 'connected', connection: 'consume' }));
    const disconnected = lines.filter(({ event }) => event === 'disconnected').length;
    expect(lines.at(-1)).toMatchObject({ event: 'summary', handled: 1, disconnected, resubscribed: 1 });
  } finally {
    await proxy.close();
  }
});

function jsonLines(text: string): unknown[] {
  const lines = text.trimEnd().split('\n');
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as unknown);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
