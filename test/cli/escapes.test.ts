import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { amqpUrl } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { declareAsTutorial, queueNames, rawChannel, ready } from './support/queues.js';
import { hasTerminal, onTerminal } from './support/screen.js';
import { millrace } from './support/spawn-millrace.js';

/** What a stranger writes to drive the terminal of the person who reads it, or to fake a line of the log. */
const HOSTILE =
  '\u001b]0;owned\u0007\u001b[2J\u009b31m\u007f\u202ecod.exe\u2066\u061c\u2028\u2029\u200b\u{e0041}\r\n [!] all is lost';
/** As far as the name of a queue can go. */
const HOSTILE_NAME = 'q\u202ecod.exe\u2066\u061c\u2028\u200b [!] all is lost';
const HARMFUL =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u200b\u202a-\u202e\u2066-\u2069\u{e0041}]/u;

const nextQueue = queueNames('cli-escapes');
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-escapes-'));
afterAll(() => rmSync(folder, { recursive: true }));

let channel: ConfirmChannel;
beforeAll(async () => {
  channel = await rawChannel();
});

function module(name: string, source: string): string {
  const path = join(folder, name);
  writeFileSync(path, source);
  return path;
}

const failing = () =>
  module('failing.mjs', `export default () => { throw new Error(${JSON.stringify(HOSTILE)}); };`);

const hostileMessage = {
  messageId: `id ${HOSTILE}`,
  contentType: `text/plain; ${HOSTILE}`,
  correlationId: HOSTILE,
  replyTo: HOSTILE,
  headers: { [`name ${HOSTILE}`]: `value ${HOSTILE}` },
};

/** A queue with a message that is hostile in all its parts. */
async function hostileQueue(): Promise<string> {
  const queue = nextQueue();
  await declareAsTutorial(channel, queue);
  channel.sendToQueue(queue, Buffer.from(`body ${HOSTILE}`), {
    ...hostileMessage,
    contentType: 'text/plain',
  });
  await channel.waitForConfirms();
  return queue;
}

/** A queue whose dead letter is hostile in all its parts, with an error to match. */
async function hostileDeadLetter(): Promise<string> {
  const queue = await hostileQueue();
  const args = ['work', failing(), '-q', queue, '--count', '1', '--retry', 'none', '-u', amqpUrl()];
  expect((await millrace(args)).exitCode).toBe(1);
  return queue;
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

describe('what others wrote is harmless wherever it is printed', () => {
  test('a body, as text and as JSON', async () => {
    const text = await millrace(['work', '-q', await hostileQueue(), '--count', '1', '-u', amqpUrl()]);
    expect(text.exitCode).toBe(0);
    expect(text.stdout).not.toMatch(HARMFUL);
    expect(text.stdout).toContain("Received 'body \\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\x7f\\u202ecod.exe");
    const json = await millrace([
      'work',
      '--json',
      '-q',
      await hostileQueue(),
      '--count',
      '1',
      '-u',
      amqpUrl(),
    ]);
    expect(json.stdout).not.toMatch(HARMFUL);
    expect(JSON.parse(json.stdout)).toMatchObject({
      id: hostileMessage.messageId,
      body: `body ${HOSTILE}`,
      headers: hostileMessage.headers,
    });
  });

  test('the error of a handler, in the log', async () => {
    const queue = await hostileQueue();
    const args = ['work', failing(), '-q', queue, '--count', '1', '--retry', 'none', '-u', amqpUrl()];
    const { stderr } = await millrace(args);
    expect(stderr).not.toMatch(HARMFUL);
    const logged = lines(stderr).filter((line) => line.startsWith('{'));
    expect(lines(stderr)).toEqual(logged);
    const dead = logged.map((line) => JSON.parse(line)).find(({ event }) => event === 'dead-lettered');
    expect(dead).toMatchObject({ error: HOSTILE, id: hostileMessage.messageId });
  });

  test.each([
    ['list', []],
    ['show', []],
    ['replay', ['--dry-run']],
    ['drop', ['--dry-run']],
  ])('a dead letter, in dlq %s', async (command, flags) => {
    const queue = await hostileDeadLetter();
    const args = ['dlq', command, '-q', queue, '-u', amqpUrl(), ...flags];
    const text = await millrace(args);
    expect(text.exitCode).toBe(0);
    expect(text.stdout + text.stderr).not.toMatch(HARMFUL);
    if (command !== 'show') expect(text.stdout).not.toMatch(/^ \[!\]/m);
    const json = await millrace([...args, '--json']);
    expect(json.stdout + json.stderr).not.toMatch(HARMFUL);
    for (const line of lines(json.stdout))
      expect(JSON.parse(line)).toMatchObject({ id: hostileMessage.messageId });
  });

  test('the only lines of dlq show that a stranger can begin are those of the body, at the end', async () => {
    const { stdout } = await millrace(['dlq', 'show', '-q', await hostileDeadLetter(), '-u', amqpUrl()]);
    const shown = lines(stdout);
    const body = shown.findIndex((line) => line.startsWith('body '));
    expect(shown.slice(0, body).join('\n')).toMatch(/^header name/m);
    const stack = shown.indexOf('stack:');
    expect(shown[stack + 1]).toMatch(/^ {2}Error: /);
    for (const line of shown.slice(0, body)) {
      expect(line).toMatch(shown.indexOf(line) > stack && line.startsWith('  ') ? /^ {2}/ : /^\S.*:/);
    }
  });

  test('a dead letter for another queue that does not exist, in the error', async () => {
    const queue = await hostileDeadLetter();
    const args = ['dlq', 'replay', '-q', queue, '--to', nextQueue(), '-u', amqpUrl()];
    for (const flags of [[], ['--json']]) {
      const { exitCode, stdout, stderr } = await millrace([...args, ...flags]);
      expect(exitCode).toBe(75);
      expect(stdout + stderr).not.toMatch(HARMFUL);
      expect(stderr).not.toMatch(/^ \[!\]/m);
    }
  });

  test.each([
    ['a queue', ['send', 'x', '-q', HOSTILE, '-u', 'amqp://127.0.0.1:1', '--connect-timeout', '100ms']],
    ['an address', ['send', 'x', '-u', `amqp://${HOSTILE}`]],
    ['a file', ['send', '-f', HOSTILE]],
    ['a handler module', ['work', HOSTILE]],
    ['a queue module', ['doctor', `${HOSTILE}.js`]],
    ['an option', ['send', `--${HOSTILE}`]],
    ['an option value', ['work', '--count', HOSTILE]],
    ['a command', [HOSTILE]],
    ['an argument too many', ['dlq', HOSTILE]],
    ['the name of a missing dead-letter queue', ['dlq', 'list', '-q', HOSTILE, '-u', `local:${folder}/none`]],
    ['the folder of queues', ['dlq', 'list', '-u', `local:${folder}/${HOSTILE}`]],
  ])('%s, in an error', async (_what, args) => {
    const { exitCode, stdout, stderr } = await millrace(args);
    expect(exitCode).not.toBe(0);
    expect(stdout + stderr).not.toMatch(HARMFUL);
    expect(stderr).not.toMatch(/^ \[!\]/m);
  });

  test('a module that fails to load, in the error', async () => {
    const path = module('throws.mjs', `throw new Error(${JSON.stringify(HOSTILE)});`);
    const { exitCode, stderr } = await millrace(['work', path]);
    expect(exitCode).toBe(78);
    expect(stderr).not.toMatch(HARMFUL);
    expect(lines(stderr)).toHaveLength(1);
  });

  test.each([
    ['an uncaught error', `setTimeout(() => { throw new Error(HOSTILE); }); await new Promise(() => {});`, 1],
    [
      'a rejection that nobody handles',
      `Promise.reject(new Error(HOSTILE)); await new Promise(() => {});`,
      1,
    ],
    ['a value that is thrown', `setTimeout(() => { throw HOSTILE; }); await new Promise(() => {});`, 1],
    ['a warning', `process.emitWarning(HOSTILE); await new Promise((r) => setTimeout(r));`, 0],
  ])('%s of a handler module', async (_what, body, code) => {
    const path = module(
      'stray.mjs',
      `const HOSTILE = ${JSON.stringify(HOSTILE)};\nexport default async () => { ${body} };`,
    );
    const queue = await hostileQueue();
    const { exitCode, stderr } = await millrace(['work', path, '-q', queue, '--count', '1', '-u', amqpUrl()]);
    expect(exitCode).toBe(code);
    expect(stderr).toContain('cod.exe');
    expect(stderr).not.toMatch(HARMFUL);
    expect(stderr).not.toMatch(/^ \[!\]/m);
    if (code !== 0) await eventually(async () => (await ready(channel, queue)) === 1);
  });

  test('the names of queues, in the report of doctor', async () => {
    const url = `local:${join(folder, 'named')}`;
    expect((await millrace(['send', 'x', '-q', HOSTILE_NAME, '-u', url])).exitCode).toBe(0);
    for (const flags of [[], ['--json']]) {
      const { exitCode, stdout, stderr } = await millrace(['doctor', HOSTILE_NAME, '-u', url, ...flags]);
      expect(exitCode).toBe(0);
      expect(stdout).toContain('cod.exe');
      expect(stdout + stderr).not.toMatch(HARMFUL);
      expect(stdout).not.toMatch(/^ \[!\]/m);
    }
  });
});

describe.skipIf(!hasTerminal)('on a terminal (needs script of util-linux)', () => {
  test.each([
    ['text', []],
    ['JSON', ['--json']],
  ])('errors in the log of a worker are one line each, as %s', async (_what, flags) => {
    const args = ['work', failing(), '-q', await hostileQueue(), '--count', '1', '--retry', 'none', ...flags];
    const { screen, rows } = await onTerminal([...args, '-u', amqpUrl()], { columns: 2000 });
    expect(screen.unknown).toEqual([]);
    expect(rows.filter((text) => text.startsWith(' [!] all is lost'))).toEqual([]);
  });

  test('the question of dlq drop quotes the queue on one line', async () => {
    const url = `local:${join(folder, 'asked')}`;
    const queue = HOSTILE_NAME;
    await millrace(['send', 'x', '-q', queue, '-u', url]);
    await millrace(['work', '-q', queue, '-u', url, '--drain', '--retry', 'none', '--exec', 'exit 1']);
    const { raw } = await onTerminal(['dlq', 'drop', '-q', queue, '-u', url], {
      columns: 2000,
      input: 'n\r',
    });
    expect(raw).toContain("'? [y/N]");
    expect(raw).not.toMatch(/[\u202e\u2066\u061c\u2028]/);
  });
});

test.each([
  ['in microseconds', 1_764_000_000_000_000],
  ['in nanoseconds', 1_764_000_000_000_000_000],
])('a dead letter with a time %s is shown, and listed', async (_what, timestamp) => {
  const queue = nextQueue();
  await declareAsTutorial(channel, `${queue}.dead`);
  channel.sendToQueue(`${queue}.dead`, Buffer.from('x'), { messageId: 'odd', timestamp });
  await channel.waitForConfirms();
  const show = await millrace(['dlq', 'show', '-q', queue, '-u', amqpUrl()]);
  // No clock shows such a time: the message counts as one without any.
  expect(show).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^id: +odd$/m) });
  expect(show.stdout).not.toMatch(/^sent:/m);
  for (const args of [['show'], ['list'], ['replay', '--dry-run'], ['list', '--since', '2h']]) {
    const { exitCode, stderr } = await millrace(['dlq', ...args, '--json', '-q', queue, '-u', amqpUrl()]);
    expect([0, 4]).toContain(exitCode);
    expect(stderr).not.toContain('Invalid');
  }
});
