import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { defineQueue } from '../../../src/queue.js';
import { connect } from '../../support/connect.js';
import { type Ended, millrace } from '../support/spawn-millrace.js';

const BIN = fileURLToPath(new URL('../../../dist/cli/bin.js', import.meta.url));
const PAGE = fileURLToPath(new URL('../../../dist/man/millrace.1', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'millrace-completion-'));
const local = `local:${join(folder, 'queues')}`;
afterAll(() => rmSync(folder, { recursive: true }));

/** Names that a shell would not take as they are must not be offered. */
const DANGEROUS = ['$(touch pwned)', 'two words', '-rf', "it's", '`id`', 'a;b', '~root'];

beforeAll(async () => {
  const broker = await connect(local);
  for (const name of ['orders', 'orders.eu', 'bills', 'ünï', 'a:b:c', ...DANGEROUS]) {
    await broker.declare(defineQueue(name, z.unknown(), { deadLetter: false }).spec);
  }
  await broker.close();
});

async function offered(words: readonly string[], url = local): Promise<string[]> {
  const { exitCode, stdout, stderr } = await millrace(['complete', '--', ...words], {
    env: { MILLRACE_URL: url },
  });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  const lines = stdout.trimEnd().split('\n');
  // What the shell is to do with them.
  expect(lines.pop()).toMatch(/^:\d+$/);
  return lines.map((line) => line.split('\t')[0] ?? '');
}

test('commands, options and the values of options are completed', async () => {
  expect(await offered(['sho'])).toEqual(['show']);
  expect(await offered(['dlq', ''])).toEqual(expect.arrayContaining(['list', 'show', 'replay', 'drop']));
  expect(await offered(['queues', '--so'])).toEqual(['--sort']);
  expect(await offered(['queues', '--sort', ''])).toEqual(expect.arrayContaining(['name', 'ready', 'dead']));
  expect(await offered(['completion', 'z'])).toEqual(['zsh']);
  expect(await offered(['no-such-command', ''])).not.toContain('undefined');
});

test('queues of a folder are completed, but for names that mean more to a shell', async () => {
  expect(await offered(['show', 'ord'])).toEqual(['orders', 'orders.eu']);
  expect((await offered(['purge', ''])).sort()).toEqual(['a:b:c', 'bills', 'orders', 'orders.eu', 'ünï']);
  expect(await offered(['queues', 'ü'])).toEqual(['ünï']);
  expect(await offered(['dlq', 'replay', '--to', 'bi'])).toEqual(['bills']);
  expect(await offered(['move', 'orders', 'b'])).toEqual(['bills']);
  expect(await offered(['work', '-q', 'bi'])).toEqual(['bills']);
  expect(await offered(['work', '--queue', 'bi'])).toEqual(['bills']);
  expect(await offered(['show', '-u', local, 'b'], 'local:')).toEqual(['bills']);
});

test('the shell completes files where a path is expected, and nowhere else', async () => {
  const directive = async (...words: string[]) =>
    (await millrace(['complete', '--', ...words])).stdout.trim();
  expect(await directive('send', '--file', '')).toBe(':0');
  expect(await directive('work', '')).toBe(':0');
  expect(await directive('backup', 'mon')).toBe(':0');
  expect(await directive('send', '--id', '')).toBe(':4');
  expect(await directive('pause', '-u', 'local:./none', 'x')).toBe(':4');
});

test('completion makes no folder, asks no broker unless a queue is named, and does not wait for one that is silent', async () => {
  const none = join(folder, 'none');
  expect(await offered(['show', ''], `local:${none}`)).toEqual([]);
  expect(existsSync(none)).toBe(false);
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const silent = `amqp://127.0.0.1:${port}`;
  expect(await offered(['sho'], silent)).toEqual(['show']);
  expect(await offered(['queues', '--sort', 'r'], silent)).toEqual(['ready']);
  expect(connections).toBe(0);
  expect(await offered(['show', ''], silent)).toEqual([]);
  expect(connections).toBeGreaterThan(0);
  server.close();
  expect(await offered(['show', ''], 'gopher://x')).toEqual([]);
});

test('there is a script for each shell, and none for others', async () => {
  const shells = ['bash', 'zsh', 'fish', 'powershell'];
  const scripts = await Promise.all(shells.map((shell) => millrace(['completion', shell])));
  for (const [index, shell] of shells.entries()) {
    const { exitCode, stdout } = scripts[index] as Ended;
    expect([shell, exitCode]).toEqual([shell, 0]);
    expect(stdout).toMatch(/ complete '?--'? /);
    // Names with colons.
    if (shell === 'zsh') expect(stdout).toMatch(/\{comp\/\/:\/\\\\:\}/);
  }
  const other = await millrace(['completion', 'tcsh']);
  expect(other.exitCode).toBe(2);
  expect(other.stderr).toContain('bash');
});

test.runIf(existsSync('/bin/bash'))(
  'bash takes the script, offers what is completed, and runs nothing that is typed (needs bash)',
  async () => {
    const { stdout: script } = await millrace(['completion', 'bash']);
    const file = join(folder, 'millrace.bash');
    writeFileSync(file, script);
    execFileSync('/bin/bash', ['-n', file]);
    const command = join(folder, 'millrace');
    writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${BIN}' "$@"\n`);
    chmodSync(command, 0o755);
    writeFileSync(join(folder, 'kept'), 'kept');
    // Twice, as from two start files. `compopt` works while something is completed only.
    const typed = `compopt() { :; }; source ${file}; source ${file}; cd ${folder}
    tab() { COMP_LINE=$1 COMP_POINT=\${#1}; __millrace_complete millrace; echo "$2: \${COMPREPLY[*]}"; }
    tab 'millrace show or' typed
    tab 'millrace move orders ' second
    tab 'X=1 millrace queues --sort=r' value
    tab 'millrace show a:b' colon
    tab 'millrace show "bi' quoted
    tab 'millrace show -u $MILLRACE_URL bi' variable
    tab 'millrace send -l > kept -q bi' redirected
    tab 'millrace send $(echo > kept) -q bi' substituted
    cat kept`;
    const env = { ...process.env, PATH: `${folder}${delimiter}${process.env.PATH}`, MILLRACE_URL: local };
    const { stdout, stderr } = spawnSync('/bin/bash', ['-c', typed], { env, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(stdout.trim().split('\n')).toEqual([
      'typed: orders orders.eu',
      expect.stringMatching(/^second: .*\borders\.eu\b/),
      'value: ready',
      // Readline has the part up to the colon already.
      'colon: b:c',
      'quoted: bills',
      'variable: bills',
      'redirected: bills',
      'substituted: bills',
      'kept',
    ]);
  },
);

test('the man page has every command and option of the help', async () => {
  const { stdout } = await millrace(['complete', '--', '']);
  const commands = stdout
    .split('\n')
    .flatMap((line) => (line.includes('\t') ? [line.split('\t')[0] ?? ''] : []));
  expect(commands.length).toBeGreaterThan(20);
  const page = readFileSync(PAGE, 'utf8').replaceAll('\\-', '-');
  for (const command of commands.filter((name) => name !== 'help'))
    expect(page).toMatch(new RegExp(`^\\.SS millrace ${command}\\b`, 'm'));
  const help = readFileSync(new URL('../../../docs/command-line.md', import.meta.url), 'utf8');
  for (const [option] of help.matchAll(/(?<=^ {2}(?:-\w, )?)--[\w-]+/gm)) expect(page).toContain(option);
  for (const code of help.match(/Exit codes: 0 success[^.]*/)?.[0].match(/\d+(?=[ ,])/g) ?? [])
    expect(page).toMatch(new RegExp(`^\\.B .*\\b${code}\\b`, 'm'));
  for (const title of ['EXIT STATUS', 'ENVIRONMENT', 'FILES', 'EXAMPLES'])
    expect(page).toContain(`\n.SH ${title}\n`);
});

test.runIf(existsSync('/usr/bin/groff'))('the man page is rendered without a warning (needs groff)', () => {
  const { stdout, stderr } = spawnSync('/usr/bin/groff', ['-man', '-Tutf8', '-ww', PAGE], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: groff underlines and makes bold by them
  const text = stdout.replace(/\u001b\[[\d;]*m|.\u0008/g, '');
  expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
  expect(text).toContain('millrace show [options] <queue>');
  expect(text).toContain("$ millrace send 'Hello World!'");
});
