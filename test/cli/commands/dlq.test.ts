import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../../src/broker.js';
import { defineQueue } from '../../../src/queue.js';
import { amqpUrl, brokerVersion } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import { queueNames } from '../support/queues.js';
import { type Ended, Millrace, millrace } from '../support/spawn-millrace.js';

const nextQueue = queueNames('cli-dlq');
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-dlq-'));
const opened: Backend[] = [];
afterAll(async () => {
  await Promise.all(opened.map((broker) => broker.close()));
  rmSync(folder, { recursive: true });
});

/** Takes any value; these tests are about moving dead letters. */
const anything = {
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
} as const;

const places: readonly [string, () => string][] = [
  ['on disk', () => `local:${join(folder, 'queues')}`],
  ['on RabbitMQ', amqpUrl],
];

describe.each(places)('dead letters %s', (_where, url) => {
  function dlq(...args: string[]): Promise<Ended> {
    return millrace(['dlq', ...args], { env: { MILLRACE_URL: url() } });
  }

  async function open(): Promise<Backend> {
    const broker = await connect(url());
    opened.push(broker);
    return broker;
  }

  /** A queue that has these dead letters and no messages. */
  async function queueWithDead(
    ids: readonly string[],
    body = (id: string) => `"body of ${id}"`,
  ): Promise<string> {
    const queue = nextQueue();
    const broker = await open();
    await broker.declare(defineQueue(queue, anything, { declare: 'if-missing' }).spec);
    for (const id of ids) {
      const message = { id, contentType: 'application/json', headers: { tenant: 'blue' }, body: body(id) };
      await broker.publish({ exchange: '', routingKey: queue }, message);
    }
    const inbox = await Inbox.open(broker, queue, { prefetch: 1 });
    for (const _ of ids) await (await inbox.next()).deadLetter({ code: 'failed', error: 'no licence' });
    await inbox.subscription.close();
    if (ids.length > 0) await eventually(async () => (await readyIn(`${queue}.dead`)) === ids.length);
    return queue;
  }

  async function readyIn(queue: string): Promise<number> {
    const broker = opened.find(({ url: own }) => own.startsWith('local:') === url().startsWith('local:'));
    return (await (broker ?? (await open())).inspect(queue)).ready;
  }

  async function idsIn(queue: string): Promise<string[]> {
    const broker = await open();
    const { ready } = await broker.inspect(queue);
    const inbox = await Inbox.open(broker, queue, { prefetch: 500 });
    const ids = idsOf(await inbox.take(ready));
    await broker.close();
    return ids;
  }

  test('a message that fails for good is listed, shown, sent back and handled', async () => {
    const queue = nextQueue();
    const env = { MILLRACE_URL: url() };
    const run = (...args: string[]) => millrace(args, { env });
    await run('send', '-q', queue, 'Hello World!', '--id', 'greeting');
    expect(
      (await run('work', '-q', queue, '--count', '1', '--retry', 'none', '--exec', 'exit 7')).exitCode,
    ).toBe(1);

    const list = await dlq('list', '-q', queue);
    expect(list.exitCode).toBe(0);
    expect(list.stdout).toMatch(/^ID .*\ngreeting .* failed .*the command exited with 7\n$/);
    expect(list.stderr).toContain(`1 dead letter of '${queue}'`);
    const show = await dlq('show', '-q', queue, 'greeting');
    expect(show.exitCode).toBe(0);
    expect(show.stdout).toMatch(
      /attempts: +1\n.*last error: +the command exited with 7\nattempt 1: +20\d\d-\S+Z, .*, process \d+: the command exited with 7\n.*\nHello World!\n$/s,
    );
    // A stack would only name the command line.
    expect(show.stdout).not.toContain('stack:');

    const replay = await dlq('replay', '-q', queue);
    expect(replay).toMatchObject({ exitCode: 0, stdout: ` [x] Replayed greeting to '${queue}'\n` });
    expect((await dlq('list', '-q', queue)).exitCode).toBe(4);
    const worker = await run('work', '-q', queue, '--count', '1', '--json');
    expect(JSON.parse(worker.stdout)).toMatchObject({ id: 'greeting', attempt: 1, body: 'Hello World!' });
  });

  test('--json writes a line for each dead letter, and `show` its body', async () => {
    const queue = await queueWithDead(['a', 'b', 'c']);
    const list = await dlq('list', '-q', queue, '--json', '--limit', '2');
    const known = {
      queue,
      reason: 'failed',
      attempts: 1,
      error: 'no licence',
      contentType: 'application/json',
    };
    expect(jsonLines(list.stdout)).toMatchObject([
      { id: 'a', ...known, bytes: 11 },
      { id: 'b', ...known },
    ]);
    expect(jsonLines(list.stderr)).toMatchObject([{ event: 'summary', total: 3, shown: 2 }]);
    const show = await dlq('show', '-q', queue, '--json', '--match', 'body of c');
    expect(jsonLines(show.stdout)).toMatchObject([
      {
        id: 'c',
        body: '"body of c"',
        headers: { tenant: 'blue' },
        failures: [{ attempt: 1, error: 'no licence', pid: process.pid }],
      },
    ]);
    const replay = await dlq('replay', '-q', queue, '--json', 'b');
    expect(jsonLines(replay.stdout)).toEqual([{ outcome: 'replayed', id: 'b', to: queue }]);
  });

  test('a queue without dead letters is exit code 4 for every command', async () => {
    const queue = await queueWithDead(['a']);
    expect((await dlq('list', '-q', nextQueue())).exitCode).toBe(4);
    expect((await dlq('list', '-q', queue, '--reason', 'rejected')).exitCode).toBe(4);
    expect((await dlq('show', '-q', queue, 'b')).exitCode).toBe(4);
    expect((await dlq('replay', '-q', queue, '--before', '1h')).exitCode).toBe(4);
    expect((await dlq('drop', '-q', queue, 'b', '--force')).exitCode).toBe(4);
    expect((await dlq('show', '-q', queue, 'a', 'b')).exitCode).toBe(3);
    expect(await readyIn(`${queue}.dead`)).toBe(1);
  });

  test('with a schema, invalid dead letters stay: exit code 3, and 65 if none is valid', async () => {
    const queue = await queueWithDead(['good', 'bad'], (id) =>
      id === 'good' ? '{"total":1}' : '{"total":"1"}',
    );
    const path = join(folder, `${queue}.mjs`);
    writeFileSync(
      path,
      `export default { '~standard': { version: 1, vendor: 'test', validate: (value) =>
         typeof value.total === 'number' ? { value } : { issues: [{ message: 'total is no number' }] } } };`,
    );
    const first = await dlq('replay', '-q', queue, '--schema', path);
    expect(first.exitCode).toBe(3);
    expect(first.stdout).toBe(` [x] Replayed good to '${queue}'\n`);
    expect(first.stderr).toContain('total is no number');
    expect(first.stderr).toContain(`1 does not fit the schema, and stays in '${queue}.dead'`);
    expect((await dlq('replay', '-q', queue, '--schema', path)).exitCode).toBe(65);
    expect(await idsIn(`${queue}.dead`)).toEqual(['bad']);
  });

  test('a dead letter whose queue does not exist stays: exit code 75', async () => {
    const queue = await queueWithDead(['a']);
    const { exitCode, stderr } = await dlq('replay', '-q', queue, '--to', nextQueue());
    expect(exitCode).toBe(75);
    expect(stderr).toMatch(/^millrace: .*a.*\n/);
    expect(await idsIn(`${queue}.dead`)).toEqual(['a']);
  });

  test('replay goes to the queue it was called for, whatever the headers say, and elsewhere with --to', async () => {
    const [queue, admin] = [await queueWithDead([]), nextQueue()];
    const broker = await open();
    for (const name of [admin, `${queue}.dead`]) {
      await broker.declare(defineQueue(name, anything, { declare: 'if-missing', deadLetter: false }).spec);
    }
    const headers = { 'x-millrace-reason': 'failed', 'x-millrace-queue': admin, 'x-millrace-error': 'x' };
    for (const id of ['a', 'b']) {
      const to = { exchange: '', routingKey: `${queue}.dead` };
      await broker.publish(to, { id, contentType: 'text/plain', headers, body: id });
    }
    const replay = await dlq('replay', '-q', queue, 'a');
    expect(replay).toMatchObject({ exitCode: 0, stdout: ` [x] Replayed a to '${queue}'\n` });
    const elsewhere = await dlq('replay', '-q', queue, '--to', admin, 'b');
    expect(elsewhere).toMatchObject({ exitCode: 0, stdout: ` [x] Replayed b to '${admin}'\n` });
    expect(await idsIn(queue)).toEqual(['a']);
    expect(await idsIn(admin)).toEqual(['b']);
  });

  test('the hints of list can be pasted, since they name the same queue and the same broker', async () => {
    const queue = await queueWithDead(['a']);
    const folderUrl = `local:${join(folder, 'hints')}`;
    const list = await dlq('list', '-q', queue);
    expect(list.stderr).toContain(` [*] To show one: millrace dlq show a -q ${queue}\n`);
    expect(list.stderr).toContain(` [*] To send them back: millrace dlq replay -q ${queue}\n`);
    await millrace(['send', 'x', '--id', "it's", '-u', folderUrl]);
    await millrace(['work', '--count', '1', '--retry', 'none', '--exec', 'exit 1', '-u', folderUrl]);
    const { stderr } = await millrace(['dlq', 'list', '--dead-letter-queue', 'hello.dead', '-u', folderUrl]);
    const hint = `millrace dlq show 'it'\\''s' -q hello --dead-letter-queue hello.dead -u ${folderUrl}`;
    expect(stderr).toContain(` [*] To show one: ${hint}\n`);
  });

  test('--dry-run changes nothing; drop requires --force without a terminal', async () => {
    const queue = await queueWithDead(['a', 'b', 'c']);
    const dry = await dlq('replay', '-q', queue, '--dry-run');
    expect(dry).toMatchObject({ exitCode: 0 });
    expect(dry.stdout).toContain(` [x] Would replay a to '${queue}'\n`);
    expect((await dlq('drop', '-q', queue, '--dry-run')).stdout).toContain(' [x] Would drop c\n');
    const refused = await dlq('drop', '-q', queue);
    expect(refused).toMatchObject({ exitCode: 2, stdout: '' });
    expect(refused.stderr).toContain('--force');
    expect(await readyIn(`${queue}.dead`)).toBe(3);
    expect((await dlq('drop', '-q', queue, 'b', '--force')).stdout).toBe(' [x] Dropped b\n');
    expect(await idsIn(`${queue}.dead`)).toEqual(['a', 'c']);
  });

  test('CTRL+C ends a replay between two messages', async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `m${index}`);
    const queue = await queueWithDead(ids);
    const args = ['dlq', 'replay', '-q', queue, '--rate', '5'];
    const replay = new Millrace(args, { env: { MILLRACE_URL: url() } });
    await replay.said('Replayed m4 to');
    replay.child.kill('SIGINT');
    expect(await replay.exit()).toBe(130);
    const replayed = replay.stdout.trimEnd().split('\n').length;
    expect(replayed).toBeLessThan(ids.length);
    expect(await idsIn(queue)).toEqual(ids.slice(0, replayed));
    const left = await idsIn(`${queue}.dead`);
    expect(inOrderOf(ids, left)).toEqual(ids.slice(replayed));
    if (keepsOrder(url())) expect(left).toEqual(ids.slice(replayed));
  });

  test('a replay that is killed loses none, and leaves only the last that it sent in both queues', async () => {
    const ids = Array.from({ length: 400 }, (_, index) => `m${index}`);
    const queue = await queueWithDead(ids);
    // At full speed it could be at its end before this process sees how far it is.
    const args = ['dlq', 'replay', '-q', queue, '--rate', '200'];
    const replay = new Millrace(args, { env: { MILLRACE_URL: url() } });
    await replay.said('Replayed m20 to');
    replay.child.kill('SIGKILL');
    expect(await replay.exit()).toBe('SIGKILL');
    const dead = `${queue}.dead`;
    let sent: string[] = [];
    let left: string[] = [];
    // Until what the killed process held is back.
    await untilAsserted(
      async () => {
        sent = await idsIn(queue);
        left = await idsIn(dead);
        expect(new Set([...sent, ...left])).toEqual(new Set(ids));
      },
      { timeoutMs: 20_000 },
    );
    expect(sent).toEqual(ids.slice(0, sent.length));
    // Those that are in both were stored, and their removal had not been worked off.
    expect(new Set(left)).toEqual(new Set(ids.slice(ids.length - left.length)));
  });
});

describe('on a terminal', () => {
  const hasScript = existsSync('/usr/bin/script');

  /** The command on a terminal of its own, with a person who answers its question. */
  async function answered(args: string, answer: string, cwd: string) {
    const bin = fileURLToPath(new URL('../../../dist/cli/bin.js', import.meta.url));
    const child = spawn('/usr/bin/script', ['-qec', `'${process.execPath}' '${bin}' ${args}`, '/dev/null'], {
      cwd,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let screen = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (!screen.includes('[y/N]') && (screen + text).includes('[y/N]')) child.stdin.write(answer);
      screen += text;
    });
    await once(child, 'close');
    return { exitCode: child.exitCode, screen };
  }

  test.skipIf(!hasScript)('drop asks, and accepts only yes (needs script of util-linux)', async () => {
    const cwd = mkdtempSync(join(folder, 'terminal-'));
    const url = `local:${join(cwd, 'queues')}`;
    const run = (...args: string[]) => millrace([...args, '-u', url]);
    for (const id of ['a', 'b']) await run('send', id, '--id', id);
    await run('work', '--drain', '--retry', 'none', '--exec', 'exit 1');
    const no = await answered(`dlq drop -u ${url}`, 'n\r', cwd);
    expect(no.screen).toContain("Permanently drop 2 of 2 dead letters of 'hello'?");
    expect(no.exitCode).toBe(1);
    expect(no.screen).toContain('Nothing was changed');
    // The end of the input.
    const ended = await answered(`dlq drop -u ${url}`, '\x04', cwd);
    expect(ended.exitCode).toBe(1);
    expect(ended.screen).toContain('\n [*] Nothing was changed');
    const interrupted = await answered(`dlq drop -u ${url}`, '\x03', cwd);
    expect(interrupted.exitCode).toBe(130);
    const yes = await answered(`dlq drop a -u ${url}`, 'y\r', cwd);
    expect(yes.exitCode).toBe(0);
    expect(yes.screen).toContain('Dropped a');
    expect(jsonLines((await run('dlq', 'list', '--json')).stdout)).toMatchObject([{ id: 'b' }]);
  });
});

test('no other process can see the dead letters of a broker in memory', async () => {
  const { exitCode, stderr } = await millrace(['dlq', 'list', '-u', 'local:']);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('dlq');
});

/** RabbitMQ before 4.3 puts what comes back to a quorum queue without a delivery limit behind the others. */
function keepsOrder(url: string): boolean {
  return url.startsWith('local:') || brokerVersion().countsFailuresOnly;
}

function inOrderOf(order: readonly string[], ids: readonly string[]): string[] {
  return [...ids].sort((a, b) => order.indexOf(a) - order.indexOf(b));
}

function jsonLines(text: string): unknown[] {
  const lines = text.trimEnd().split('\n');
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as unknown);
}

test('a queue name in place of an id is answered with how to name a queue', async () => {
  const url = `local:${join(folder, 'named')}`;
  expect((await millrace(['send', '-q', 'orders', 'x', '-u', url])).exitCode).toBe(0);
  const { exitCode, stderr } = await millrace(['dlq', 'list', 'orders', '-u', url]);
  expect(exitCode).toBe(4);
  expect(stderr).toContain('Name the queue with --queue');
});
