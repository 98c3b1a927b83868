import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import type { ConnectOptions } from '../../../src/connect.js';
import { defineQueue } from '../../../src/queue.js';
import { amqpUrl, knownManagementUrl } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { queueNames } from '../support/queues.js';
import { type Ended, Millrace, millrace } from '../support/spawn-millrace.js';

const nextQueue = queueNames('cli-operator');
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-operator-'));
const opened: Backend[] = [];
afterAll(async () => {
  await Promise.all(opened.map((broker) => broker.close()));
  rmSync(folder, { recursive: true });
});

const local = `local:${join(folder, 'queues')}`;

async function open(url: string, options?: ConnectOptions): Promise<Backend> {
  const broker = await connect(url, options);
  opened.push(broker);
  return broker;
}

/** A queue with messages of these ids. */
async function queueWith(broker: Backend, ids: readonly string[]): Promise<string> {
  const queue = nextQueue();
  await broker.declare(defineQueue(queue, z.unknown()).spec);
  for (const id of ids) {
    const message = { id, contentType: 'text/plain', headers: { tenant: 'blue' }, body: `body of ${id}` };
    await broker.publish({ exchange: '', routingKey: queue }, message);
  }
  await eventually(async () => (await broker.inspect(queue)).ready === ids.length);
  return queue;
}

const jsonLines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const managed = knownManagementUrl();
const places: readonly [string, () => string, readonly string[]][] = [
  ['on disk', () => local, []],
  ...(managed === undefined
    ? []
    : [['on RabbitMQ', amqpUrl, ['--management-url', managed]] satisfies [string, () => string, string[]]]),
];

describe.each(places)('what an operator does %s', (where, url, flags) => {
  const run = (...args: string[]): Promise<Ended> =>
    millrace([...args, ...flags], { env: { MILLRACE_URL: url() } });

  test('queues are listed as a table, and as JSON', async () => {
    const broker = await open(url());
    const queue = await queueWith(broker, ['a', 'b', 'dead']);
    const inbox = await Inbox.open(broker, queue, { prefetch: 1 });
    await (await inbox.next()).deadLetter({ code: 'failed', error: 'no' });
    await inbox.subscription.close();
    await untilAsserted(async () => {
      const { exitCode, stdout } = await run('queues', queue, '--json');
      expect(exitCode).toBe(0);
      expect(jsonLines(stdout)).toMatchObject([
        { name: queue, ready: 2, unsettled: 0, delayed: 0, dead: 1, consumers: 0, paused: false },
        { name: `${queue}.dead`, ready: 1 },
      ]);
    });
    const first = await run('queues', queue, '--sort', 'dead', '--limit', '1', '--json');
    expect(jsonLines(first.stdout)).toMatchObject([{ name: queue, dead: 1 }]);
    expect(first.stderr).toBe(' [*] 1 of 2 queues\n');
    const { exitCode, stdout } = await run('queues', queue, '--sort', 'ready');
    expect(exitCode).toBe(0);
    const rows = stdout.trim().split('\n');
    expect(rows[0]).toMatch(/^QUEUE +READY +UNSETTLED +DELAYED +DEAD/);
    expect(rows[1]).toMatch(new RegExp(`^${queue} +2 +0 +0 +1 `));
    expect(await run('queues', `${queue}-none`)).toMatchObject({ exitCode: 4, stdout: '' });
  });

  test('a queue is shown with what is not known, and why', async () => {
    const broker = await open(url());
    const queue = await queueWith(broker, ['a']);
    const { exitCode, stdout } = await run('show', queue);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ready: +1$/m);
    expect(stdout).toMatch(/^unknown: +[\w, ]+: \w+/m);
    const inbox = await Inbox.open(broker, queue);
    await inbox.next();
    await untilAsserted(async () => {
      const shown = await run('show', queue);
      expect(shown.stdout).toMatch(/^rates: +[\d.]+ in, 0 out per second$/m);
      expect(shown.stdout).toMatch(
        new RegExp(`^consumer: +process ${process.pid} on \\S+: 1 unsettled, here for \\d+ s`, 'm'),
      );
    });
    if (url() === local) {
      const { stdout: held } = await run('peek', queue, '--state', 'unsettled');
      expect(held).toMatch(/^held since: +20[\d-]+T[\d:.]+Z, for (< 1|\d+) s$/m);
    }
    await inbox.subscription.close();
    await eventually(async () => (await broker.inspect(queue)).ready === 1);
    const { stdout: json } = await run('show', queue, '--json');
    expect(jsonLines(json)).toMatchObject([{ name: queue, ready: 1, unknown: {} }]);
    const missing = await run('show', `${queue}-none`);
    expect(missing.exitCode).toBe(4);
    expect(missing.stderr).toContain(`${queue}-none`);
  });

  test('messages are shown and stay', async () => {
    const broker = await open(url());
    const queue = await queueWith(broker, ['a', 'b']);
    const { exitCode, stdout } = await run('peek', queue, '-n', '1', '--max-body', '4');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^id: +a$/m);
    expect(stdout).toMatch(/^header tenant: +blue$/m);
    expect(stdout).toMatch(/^body: +9 bytes, the first 4 shown\nbody$/m);
    const { stdout: json } = await run('peek', queue, '--json');
    expect(jsonLines(json)).toMatchObject([
      { id: 'a', state: 'ready', body: 'body of a', bodyBytes: 9 },
      { id: 'b', state: 'ready', body: 'body of b', headers: { tenant: 'blue' } },
    ]);
    await eventually(async () => (await broker.inspect(queue)).ready === 2);
    expect((await run('peek', await queueWith(broker, []))).exitCode).toBe(4);
  });

  test('messages are moved to another queue, in their order', async () => {
    const broker = await open(url());
    const from = await queueWith(broker, ['a', 'b', 'c']);
    const to = await queueWith(broker, []);
    // More than a program may send by default.
    const large = await open(url(), { maxMessageBytes: 2 ** 21 });
    const body = Buffer.alloc(2 ** 21);
    await large.publish(
      { exchange: '', routingKey: to },
      { id: 'large', contentType: '', headers: {}, body },
    );
    expect(await run('move', to, from, '-n', '1')).toMatchObject({ exitCode: 0 });
    expect(await run('remove', from, 'large', '--force')).toMatchObject({ exitCode: 0 });
    const dry = await run('move', from, to, '--dry-run');
    expect(dry).toMatchObject({
      exitCode: 0,
      stderr: ` [*] Would move 3 of 3 messages of '${from}' to '${to}'\n`,
    });
    const some = await run('move', from, to, '-n', '2', '--json');
    expect(jsonLines(some.stdout)).toEqual([
      { outcome: 'moved', id: 'a', to },
      { outcome: 'moved', id: 'b', to },
      { from, to, moved: 2, left: 0, total: 3 },
    ]);
    const inbox = await Inbox.open(broker, to);
    expect(await inbox.ackNext(2)).toEqual(['a', 'b']);
    expect(inbox.deliveries[0]).toMatchObject({ attempt: 1, message: { headers: { tenant: 'blue' } } });
    expect((await run('move', from, `${to}-none`)).exitCode).toBe(4);
    expect((await run('move', from, from)).exitCode).toBe(2);
    expect((await broker.inspect(from)).ready).toBe(1);
  });

  test('what can’t be undone needs --force without a terminal, and says how many and what', async () => {
    const broker = await open(url());
    const queue = await queueWith(broker, ['a', 'b', 'c']);
    const refused = await run('purge', queue);
    expect(refused.exitCode).toBe(2);
    expect(refused.stderr).toContain(`Permanently remove 3 ready messages of '${queue}'`);
    expect(refused.stderr).toContain('--force');
    expect((await run('purge', queue, '--dry-run')).stderr).toBe(
      ` [*] Would remove 3 ready messages of '${queue}'\n`,
    );
    expect((await run('remove', queue, 'b', '--force', '--json')).stdout).toBe(
      `{"queue":"${queue}","removed":1}\n`,
    );
    expect((await run('remove', queue, 'b', '--force')).exitCode).toBe(4);
    await eventually(async () => (await broker.inspect(queue)).ready === 2);
    expect(await run('purge', queue, '--force')).toMatchObject({
      exitCode: 0,
      stderr: ` [*] Removed 2 ready messages of '${queue}'\n`,
    });
    expect((await run('purge', queue, '--force')).exitCode).toBe(4);
    expect((await run('remove', queue)).stderr).toContain(`the queue '${queue}' with 0 ready messages`);
    expect((await run('remove', queue, '--force')).exitCode).toBe(0);
    expect((await run('remove', queue, '--force')).exitCode).toBe(4);
  });

  test('top writes a line of JSON per frame off a terminal', async () => {
    const queue = await queueWith(await open(url()), ['a']);
    const { exitCode, stdout } = await run('top', queue, '--count', '2', '--interval', '50ms');
    expect(exitCode).toBe(0);
    const frames = jsonLines(stdout);
    expect(frames).toHaveLength(2);
    for (const frame of frames)
      expect(frame).toMatchObject({ total: expect.any(Number), queues: expect.any(Array) });
  });

  test('top ends with Ctrl+C', async () => {
    const watching = new Millrace(['top', '--interval', '50ms', ...flags], { env: { MILLRACE_URL: url() } });
    await watching.said('"queues":', 2);
    watching.child.kill('SIGINT');
    expect(await watching.exit()).toBe(0);
  });

  // RabbitMQ can't pause a queue: that the command says so is a test of its own.
  test.skipIf(where !== 'on disk')(
    'a queue is paused for a worker of another process, and resumed',
    async () => {
      const broker = await open(url());
      const queue = await queueWith(broker, ['a']);
      const worker = new Millrace(['work', '-q', queue, '--report', '50ms'], {
        env: { MILLRACE_URL: url() },
      });
      await worker.said('body of a');
      expect(await run('pause', queue)).toMatchObject({ exitCode: 0 });
      await broker.publish(
        { exchange: '', routingKey: queue },
        { id: 'b', contentType: 'text/plain', headers: {}, body: 'body of b' },
      );
      expect(jsonLines((await run('queues', queue, '--json')).stdout)[0]).toMatchObject({
        ready: 1,
        paused: true,
      });
      expect((await run('queues', queue)).stdout).toContain(`${queue} (paused)`);
      expect(worker.stdout).not.toContain('body of b');
      await worker.said(`'${queue}' is paused: its messages wait until 'millrace resume ${queue}'`);
      const late = new Millrace(['work', '-q', queue], { env: { MILLRACE_URL: url() } });
      await late.said(`'${queue}' is paused: its messages wait until`);
      late.child.kill('SIGTERM');
      await late.exit();
      // The broker's own event would say it a second time.
      expect(late.stderr.split('is paused')).toHaveLength(2);
      expect((await run('resume', queue)).exitCode).toBe(0);
      await worker.said('body of b');
      worker.child.kill('SIGTERM');
      await worker.exit();
      expect((await run('pause', `${queue}-none`)).exitCode).toBe(4);
    },
  );
});

test('on RabbitMQ a queue can’t be paused for all consumers, and the text says what can be done', async () => {
  const { exitCode, stderr } = await millrace(['pause', 'orders', '-u', amqpUrl()]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('consumer.pause()');
});

describe('where there is nothing', () => {
  const missing = join(folder, 'missing');

  test.each([
    ['queues', []],
    ['top', []],
    ['show', ['orders']],
    ['peek', ['orders']],
    ['purge', ['orders', '--force']],
    ['remove', ['orders', '--force']],
    ['move', ['orders', 'others']],
    ['pause', ['orders']],
  ])('%s creates no folder', async (command, args) => {
    const { exitCode, stdout, stderr } = await millrace([command, ...args, '-u', `local:${missing}`]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: '' });
    expect(stderr).toContain('has no queues');
    expect(existsSync(missing)).toBe(false);
  });

  test('a folder of another version, and memory, are refused', async () => {
    const other = mkdtempSync(join(folder, 'other-'));
    writeFileSync(join(other, 'queue.mdb'), 'old');
    const { exitCode, stderr } = await millrace(['queues', '-u', `local:${other}`]);
    expect(stderr).toMatch(/millrace 0\.1|has no queues/);
    expect([4, 78]).toContain(exitCode);
    expect((await millrace(['queues', '-u', 'local:'])).exitCode).toBe(2);
  });
});

describe('the management API', () => {
  test('another server at that address is reported as such, without the password', async () => {
    const server = createServer((_, response) => response.end('<html>hello</html>')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const { exitCode, stderr } = await millrace([
        'queues',
        '-u',
        amqpUrl(),
        '--management-url',
        `http://user:secret@127.0.0.1:${port}`,
      ]);
      expect(exitCode).toBe(69);
      expect(stderr).toContain('the server there is not the RabbitMQ management API (HTTP ');
      expect(stderr).not.toContain('secret');
    } finally {
      server.close();
    }
  });

  test('without one, a queue is shown as far as AMQP tells, and a list is refused', async () => {
    const queue = await queueWith(await open(amqpUrl()), ['a', 'b']);
    const url = ['-u', amqpUrl(), '--management-url', 'http://127.0.0.1:9'];
    const { exitCode, stdout } = await millrace(['show', queue, '--json', ...url]);
    expect(exitCode).toBe(0);
    const [info] = jsonLines(stdout);
    expect(info).toMatchObject({ name: queue, ready: 2, consumers: 0 });
    expect(info).not.toHaveProperty('unsettled');
    expect(info.unknown.unsettled).toContain('127.0.0.1:9');
    const list = await millrace(['queues', ...url]);
    expect(list.exitCode).toBe(69);
    expect(list.stderr).toContain('127.0.0.1:9');
  });
});
