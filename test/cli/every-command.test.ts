import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify, stripVTControlCharacters } from 'node:util';
import type { Command as Program } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createProgram } from '../../src/cli/program.js';
import { endedCommands, MANY, runMany } from './support/run-many.js';
import { hasTerminal, onTerminal, Screen, TerminalRun } from './support/screen.js';

const BIN = fileURLToPath(new URL('../../dist/cli/bin.js', import.meta.url));
const SCHEDULES = fileURLToPath(new URL('commands/schedule/schedules.mjs', import.meta.url));
const SHOP = fileURLToPath(new URL('commands/topology/shop.mjs', import.meta.url));

/** What a stranger writes to drive the terminal of the person who reads it, or to fake a line of the log. */
const HOSTILE =
  '\u001b]0;owned\u0007\u001b[2J\u009b31m\u007f\u202ecod.exe\u2066\u061c\u2028\u2029\u200b\r\n [!] all is lost';
const HOSTILE_NAME = 'q\u202ecod.exe\u2066\u061c\u2028\u200b a queue with a name that is longer than a row';

const folder = mkdtempSync(join(tmpdir(), 'millrace-every-command-'));
afterAll(() => rmSync(folder, { recursive: true, maxRetries: 3 }));
const address = `local:${join(folder, 'queues')}`;
const env = { MILLRACE_URL: address, TEST_PREFIX: 'every', XDG_STATE_HOME: join(folder, 'state') };
let files = 0;

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

interface Command {
  readonly args: readonly string[];
  readonly exitCode: number;
  /** A row that must be there, at every width. */
  readonly row?: RegExp;
  /** Each line that it prints to standard output has a row of its own. */
  readonly isTable?: true;
  /** A part that has a color: its SGR parameter and the text. */
  readonly color?: readonly [string, string];
}

/** The commands that run until they are stopped have tests of their own, below and in terminal.test.ts. */
const STOPPED = ['tail', 'ui', 'demo', 'bench'];

/** Every other command. */
const commands = (): readonly Command[] => [
  { args: ['queues'], exitCode: 0, row: /^QUEUE +READY/, isTable: true },
  { args: ['queues', 'nothing has this'], exitCode: 4, row: /^ \[\*\] local:/ },
  { args: ['send', HOSTILE, '-q', HOSTILE_NAME], exitCode: 0 },
  { args: ['work', '-q', HOSTILE_NAME, '--drain'], exitCode: 0, row: /^ \[x\] Received '/ },
  { args: ['send', HOSTILE, '-q', HOSTILE_NAME], exitCode: 0, row: /^ \[x\] Sent '/ },
  { args: ['send', HOSTILE, '-q', HOSTILE_NAME, '--json'], exitCode: 0 },
  { args: ['send', 'x', '-q', HOSTILE_NAME, '--content-type', HOSTILE], exitCode: 0 },
  { args: ['show', HOSTILE_NAME], exitCode: 0, row: /^ready: +3$/ },
  { args: ['show', 'missing'], exitCode: 4, color: ['31', 'millrace: there is no queue'] },
  { args: ['peek', HOSTILE_NAME], exitCode: 0, row: /^state: +ready$/ },
  { args: ['peek', HOSTILE_NAME, '--json'], exitCode: 0 },
  { args: ['top', '--count', '2', '--interval', '10ms'], exitCode: 0 },
  { args: ['pause', HOSTILE_NAME], exitCode: 0, row: /^ \[\*\] / },
  { args: ['resume', HOSTILE_NAME], exitCode: 0, row: /^ \[\*\] / },
  { args: ['move', HOSTILE_NAME, 'hello', '--limit', '1'], exitCode: 0, row: /^ \[\*\] Moved 1 of / },
  { args: ['purge', HOSTILE_NAME, '--dry-run'], exitCode: 0, row: /^ \[\*\] Would / },
  { args: ['remove', HOSTILE_NAME, '--dry-run'], exitCode: 0, row: /^ \[\*\] Would / },
  { args: ['dlq', 'list'], exitCode: 0, row: /^ID +(DEAD SINCE|REASON) +/, isTable: true },
  { args: ['dlq', 'show', 'dead'], exitCode: 0, row: /^reason: +rejected$/ },
  { args: ['dlq', 'show', 'dead', '--json'], exitCode: 0 },
  { args: ['dlq', 'replay', '--dry-run'], exitCode: 0, row: /Would/ },
  { args: ['dlq', 'drop', '--dry-run'], exitCode: 0, row: /Would/ },
  { args: ['doctor'], exitCode: 0, row: /^ok +address/, color: ['32', 'ok  '] },
  { args: ['doctor', SHOP, '-u', 'local:/dev/null'], exitCode: 78, color: ['31', 'fail'] },
  { args: ['topology', 'apply', SHOP], exitCode: 0 },
  { args: ['topology', 'check', SHOP], exitCode: 0, color: ['32', 'ok  '] },
  { args: ['topology', 'export', '-', SHOP], exitCode: 0, row: /^\{$/ },
  { args: ['schedule', 'list', SCHEDULES], exitCode: 0, row: /^SCHEDULE +NEXT/, isTable: true },
  { args: ['schedule', 'run-now', 'every-nightly', SCHEDULES], exitCode: 0 },
  { args: ['schedule', 'forget', HOSTILE_NAME], exitCode: 4, row: /^ \[\*\] / },
  { args: ['publish', 'order.placed', HOSTILE, '-t', 'shop'], exitCode: 0 },
  { args: ['remove', '-e', 'shop', '--dry-run'], exitCode: 0, row: /^ \[\*\] Would / },
  { args: ['backup', join(folder, `${++files}.db`)], exitCode: 0, row: /^ \[x\] Copied / },
  { args: ['purge', HOSTILE_NAME, '--force'], exitCode: 0 },
  { args: ['init', join(folder, `service-${++files}`)], exitCode: 0, row: /^ \[x\] package\.json$/ },
  { args: ['init', folder], exitCode: 2, color: ['31', 'millrace: '] },
  { args: ['completion', 'bash'], exitCode: 0, row: /^complete -o default -F / },
  { args: ['completion', HOSTILE], exitCode: 2 },
  { args: ['quues'], exitCode: 2, row: /^error: unknown command 'quues'/ },
];

/** The name of every command that does something by itself. */
const NAMES = [...namesOf(createProgram(() => Promise.resolve()))];

/** The help of every command. */
const HELP = ['', ...NAMES].map((name) => ['help', ...name.split(' ').filter((word) => word !== '')]);

function* namesOf(program: Program, parent = ''): Generator<string> {
  for (const command of program.commands) {
    const name = `${parent} ${command.name()}`.trim();
    if (name === 'complete') continue;
    if (command.commands.length === 0) yield name;
    else yield* namesOf(command, name);
  }
}

function faultsOf(
  { args, row, isTable, color }: Command,
  screen: Screen,
  text: string,
  columns: number,
): string[] {
  const faults: string[] = [];
  const { rows, frame, unknown } = screen;
  if (unknown.length > 0) faults.push(`writes ${JSON.stringify(unknown)}`);
  if (row !== undefined && !rows.some((each) => row.test(each))) faults.push(`has no row ${row}`);
  if (color !== undefined) {
    const colored = rows.map((_, position) => screen.colored(position, color[0])).join('');
    if (!colored.includes(color[1])) faults.push(`colors '${colored}'`);
  }
  if (isTable === true) {
    const lines = text.split('\r\n').filter((line) => !/^( \[|$)/.test(line));
    const long = lines.filter((line) => stripVTControlCharacters(line).length > columns);
    if (long.length > 0) faults.push('has rows that wrap');
  }
  if (args[0] === 'top') {
    if (!/^millrace top/.test(frame[0] ?? '') || frame.length > 24) faults.push(frame.join('\n'));
    if (!frame.some((each) => /^QUEUE.* READY/.test(each))) faults.push(frame.join('\n'));
  }
  return faults;
}

async function runOnTerminal(
  list: readonly (readonly string[])[],
  columns: number,
  variables: Readonly<Record<string, string>> = {},
) {
  const path = file(`commands-${++files}.json`, JSON.stringify(list));
  const { raw } = await onTerminal([path], { program: MANY, columns, env: { ...env, ...variables } });
  const parts = endedCommands(raw);
  expect(parts.length, raw).toBe(list.length);
  return parts;
}

beforeAll(async () => {
  const rejecting = file(
    'rejecting.mjs',
    `import { RejectMessage } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url))};
     export default () => { throw new RejectMessage(${JSON.stringify(HOSTILE)}); };`,
  );
  const setUp = [
    ['send', HOSTILE, '--id', 'dead', '-H', `note:${HOSTILE}`, '--app-id', HOSTILE],
    ['work', rejecting, '--drain'],
    ...[1, 2].map(() => ['send', HOSTILE, '-q', HOSTILE_NAME, '-H', `note:${HOSTILE}`, '--type', HOSTILE]),
    ['send', HOSTILE, '-q', 'filler'],
    ['send', 'plain'],
  ];
  const ended = await runMany(setUp, env);
  expect(ended.map(({ exitCode }) => exitCode)).toEqual([0, 1, 0, 0, 0, 0]);
}, 60_000);

test('no command is missing here', () => {
  const covered = [...commands().map(({ args }) => args.join(' ')), ...STOPPED];
  expect(NAMES.filter((name) => !covered.some((line) => `${line} `.startsWith(`${name} `)))).toEqual([]);
});

describe.skipIf(!hasTerminal)('on a terminal (needs script of util-linux)', () => {
  test.each([40, 80, 200])('every command fits a screen of %d columns, with colors', async (columns) => {
    const list = commands();
    const parts = await runOnTerminal(
      list.map(({ args }) => args),
      columns,
    );
    // All at once, so that a failure shows what else does not fit.
    const faults: string[] = [];
    for (const [index, command] of list.entries()) {
      const { text = '', exitCode } = parts[index] ?? {};
      const screen = new Screen(columns);
      screen.write(text);
      const found = faultsOf(command, screen, text, columns);
      if (exitCode !== command.exitCode) found.push(`exits ${exitCode}`);
      const what = command.args.join(' ').slice(0, 60);
      faults.push(...found.map((fault) => `${what}: ${fault}\n${screen.rows.join('\n')}`));
    }
    expect(faults.join('\n\n')).toBe('');
  });

  test.each([40, 80, 200])('the help of every command fits %d columns', async (columns) => {
    const parts = await runOnTerminal(HELP, columns);
    for (const [index, { text, exitCode }] of parts.entries()) {
      const what = `${HELP[index]?.join(' ')}\n${text}`;
      expect(exitCode, what).toBe(0);
      expect(text, what).toMatch(/^Usage: millrace/);
      // Addresses and examples are not cut in two: they may be pasted.
      const long = text.split('\r\n').filter((line) => line.length > columns && line.trim().includes(' '));
      expect(
        long.filter((line) => !/^ {2}\$ |^ {2,}(-|\S+$)/.test(line)),
        what,
      ).toEqual([]);
    }
  });

  test.each([40, 80, 200])('what runs until it is stopped fits a screen of %d columns', async (columns) => {
    const tail = new TerminalRun(['tail', 'shop'], { columns, env });
    await tail.said(/Waiting\s+for\s+events\s+of\s+'shop'/);
    const ended = await runMany([['publish', 'order.placed', HOSTILE, '-t', 'shop']], env);
    expect(ended.map(({ exitCode }) => exitCode)).toEqual([0]);
    await tail.said('all is lost');
    const page = new TerminalRun(['ui', '--port', '0'], { columns, env });
    await page.said(/To\s+exit\s+press\s+CTRL\+C/);
    for (const run of [tail, page]) run.child.stdin?.write('\u0003');
    expect([await tail.exit(), await page.exit()]).toEqual([130, 0]);
    for (const { screen } of [tail, page]) {
      expect(screen.unknown).toEqual([]);
      // A stranger's line break does not begin a line of ours.
      expect(screen.rows.filter((row) => /^ \[!\] all is lost/.test(row))).toEqual([]);
    }
    // An address that is to be clicked is not cut in two by the tool itself.
    expect(page.raw).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=\S+\r\n/m);
  });

  test.each([
    ['NO_COLOR', { NO_COLOR: '1' }],
    ['FORCE_COLOR=0', { FORCE_COLOR: '0' }],
    ['TERM=dumb', { TERM: 'dumb' }],
  ])('%s leaves the colors out of every command', async (_what, variables) => {
    const list = commands().filter(
      ({ args, color, isTable }) =>
        color !== undefined || isTable === true || (args[0] === 'top' && 'TERM' in variables),
    );
    const parts = await runOnTerminal(
      list.map(({ args }) => args),
      80,
      variables,
    );
    for (const { text } of parts) expect(text).not.toContain('\u001b');
  });
});

test.each([
  ['piped', {}],
  ['piped with FORCE_COLOR', { FORCE_COLOR: '1' }],
])('what is %s has no control characters but the colors that were asked for', async (_what, force) => {
  const isForced = 'FORCE_COLOR' in force;
  const list = commands().filter(({ color }) => !isForced || color !== undefined);
  const path = file('piped.json', JSON.stringify(list.map(({ args }) => args)));
  const inherited = { ...process.env };
  delete inherited.NO_COLOR;
  delete inherited.FORCE_COLOR;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [MANY, path], {
    env: { ...inherited, ...env, ...force },
  });
  expect(stdout.includes('\u001b[32mok')).toBe(isForced);
  const text = `${stdout}${stderr}`.replaceAll('\0', '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  const plain = isForced ? text.replaceAll(/\u001b\[(3[123]|39)m/g, '') : text;
  expect(plain).not.toContain('\u001b');
  const screen = new Screen(Number.POSITIVE_INFINITY);
  screen.write(plain);
  expect(screen.unknown).toEqual([]);
});

test('a reader that has seen enough ends every command that prints much, without an error', async () => {
  const lines = [['queues'], ['peek', 'hello'], ['dlq', 'list'], ['dlq', 'show', 'dead'], ['help'], ['top']];
  const shell = lines
    .map((args) => `("$NODE" "$BIN" ${args.join(' ')}; echo "code $?" >&2) | head -1 >/dev/null &`)
    .join('\n');
  const { stderr } = await promisify(execFile)('sh', ['-c', `${shell}\nwait`], {
    env: { ...process.env, ...env, NODE: process.execPath, BIN },
  });
  expect(stderr).not.toMatch(/EPIPE|Error|at /);
  expect(stderr.match(/code \d+/g)?.length).toBe(lines.length);
});
