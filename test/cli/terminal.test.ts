import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasTerminal, onTerminal, Screen, TerminalRun } from './support/screen.js';
import { millrace } from './support/spawn-millrace.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-terminal-'));
afterAll(() => rmSync(folder, { recursive: true }));
const url = `local:${join(folder, 'queues')}`;
const env = { MILLRACE_URL: url };

const SIZES = [{ columns: 80 }, { columns: 40 }];

beforeAll(async () => {
  // Something to be seen by every command.
  for (const id of ['a', 'b']) await millrace(['send', `message ${id}`, '--id', id], { env });
  await millrace(['work', '--drain', '--retry', 'none', '--exec', 'exit 7'], { env });
  await millrace(['send', 'another'], { env });
});

describe.skipIf(!hasTerminal)('on a terminal (needs script of util-linux)', () => {
  test.each(SIZES)(
    'doctor shows a colored mark and nothing unprintable, at $columns columns',
    async ({ columns }) => {
      const { exitCode, screen, rows } = await onTerminal(['doctor'], { columns, env });
      expect(exitCode).toBe(0);
      expect(screen.unknown).toEqual([]);
      // A long address has a row of its own where there are few columns.
      expect(`${rows[0]} ${rows[1]?.trim()}`).toMatch(/^ok {4}address +local:/);
      expect(screen.colored(0, '32')).toBe('ok  ');
      expect(rows.join('')).not.toContain('\\x1b');
    },
  );

  test.each(SIZES)('doctor breaks its sentences between words, at $columns columns', async ({ columns }) => {
    const { rows } = await onTerminal(['doctor'], { columns, env });
    const [begin = '', next = ''] = rows.slice(rows.findIndex((text) => /^ok {4}store /.test(text)));
    expect(`${begin} ${next.trim()}`).toMatch(/^ok {4}store {9}\d+ MiB on the disk, \d+ MiB of it unused/);
    expect(next).toMatch(columns === 80 ? /^ {20}\S/ : /^ {6}\S/);
  });

  test('doctor marks a failure in red', async () => {
    const { exitCode, screen, rows } = await onTerminal(['doctor', '-u', 'amqp://127.0.0.1:1'], {
      columns: 80,
    });
    expect(exitCode).toBe(69);
    const row = rows.findIndex((text) => text.startsWith('fail'));
    expect(screen.colored(row, '31')).toBe('fail');
  });

  test.each(SIZES)('the demo draws its progress in one row, at $columns columns', async ({ columns }) => {
    const args = ['demo', '--messages', '400', '--handle', '5ms'];
    const { exitCode, screen, rows, raw } = await onTerminal(args, { columns });
    expect(exitCode).toBe(0);
    expect(screen.unknown).toEqual([]);
    // It was drawn often, and is there once.
    expect(raw.split('\u001b[2K').length).toBeGreaterThan(3);
    const bars = rows.filter((text) => /^ +\d+\.\d s {2}\[[#.]+\] /.test(text));
    expect(bars).toHaveLength(1);
    expect(rows[rows.indexOf(bars[0] ?? '') + 1]).toBe('');
    expect(rows.filter((text) => /^sent +\d/.test(text))).toHaveLength(1);
    // Words are not cut at the edge.
    expect(rows.join(' ').replace(/ +/g, ' ')).toContain('a queue of 100 messages between them');
  });

  test.each(SIZES)('bench keeps each interval in one row, at $columns columns', async ({ columns }) => {
    const bench = new TerminalRun(['bench', '-z', '600', '--interval', '100ms'], { columns });
    await bench.said(/(received \d[\s\S]*){3}/);
    bench.child.stdin?.write('\u0003');
    expect(await bench.exit()).toBe(0);
    const { screen } = bench;
    const { rows } = screen;
    expect(screen.unknown).toEqual([]);
    const intervals = rows.flatMap((text, index) => (/^ +\d+\.\d s {2}sent/.test(text) ? [index] : []));
    expect(intervals.length).toBeGreaterThan(1);
    for (const [position, index] of intervals.entries()) expect(index).toBe((intervals[0] ?? 0) + position);
  });

  test.each(SIZES)('dlq list keeps each dead letter in one row, at $columns columns', async ({ columns }) => {
    const { exitCode, screen, rows } = await onTerminal(['dlq', 'list'], { columns, env });
    expect(exitCode).toBe(0);
    expect(screen.unknown).toEqual([]);
    const header = rows.findIndex((text) => text.startsWith('ID'));
    expect(rows.slice(header + 1, header + 3)).toEqual([
      expect.stringMatching(/^a {2}/),
      expect.stringMatching(/^b {2}/),
    ]);
  });

  test.each(SIZES)('help is readable at $columns columns', async ({ columns }) => {
    for (const args of [[], ['send', '--help'], ['dlq', 'list', '--help'], ['doctor', '--help']]) {
      const { exitCode, screen } = await onTerminal(args, { columns });
      expect(exitCode).toBe(0);
      expect(screen.unknown).toEqual([]);
    }
  });

  test('work says which broker it uses and waits, in lines for people', async () => {
    await millrace(['send', 'x', '-q', 'printed'], { env });
    const { rows } = await onTerminal(['work', '-q', 'printed', '--count', '1'], { columns: 200, env });
    expect(rows).toEqual([
      ` [*] Broker: ${url} (MILLRACE_URL)`,
      " [*] Waiting for messages in 'printed'. To exit press CTRL+C",
      " [x] Received 'x'",
      " [*] 'printed': 1 handled",
      '',
    ]);
  });

  test('a warning is yellow, an error red', async () => {
    const worked = await onTerminal(['work', '--count', '1', '--retry', 'none', '--exec', 'exit 1'], {
      columns: 80,
      env,
    });
    const warning = worked.rows.findIndex((text) => text.startsWith(' [!] message'));
    expect(worked.screen.colored(warning, '33')).toContain('[!] message');
    const failed = await onTerminal(['work', './none.js'], { columns: 80, env });
    expect(failed.screen.colored(0, '31')).toContain('millrace: there is no handler module');
  });

  test.each([
    ['NO_COLOR', { NO_COLOR: '1' }, []],
    ['TERM=dumb', { TERM: 'dumb' }, []],
    ['FORCE_COLOR=0', { FORCE_COLOR: '0' }, []],
    ['--no-color', {}, ['--no-color']],
  ])('%s leaves the colors out', async (_what, variables, flags) => {
    const { raw } = await onTerminal(['doctor', ...flags], { columns: 80, env: { ...env, ...variables } });
    expect(raw).toMatch(/^ok {4}address/m);
    expect(raw).not.toContain('\u001b');
  });
});

test('FORCE_COLOR colors what is piped, and --no-color wins', async () => {
  const force = { ...env, FORCE_COLOR: '1' };
  expect((await millrace(['doctor'], { env: force })).stdout).toContain('\u001b[32mok  \u001b[39m  address');
  expect((await millrace(['doctor', '--no-color'], { env: force })).stdout).toMatch(/^ok {4}address/);
});

test('the screen of these tests wraps, returns, erases and colors as a terminal does', () => {
  const screen = new Screen(4);
  screen.write('abcdef\r\u001b[2Kx\r\n\u001b[31mred\u001b[39m.\u0007');
  expect(screen.rows).toEqual(['abcd', 'x', 'red.']);
  expect(screen.unknown).toEqual(['\u0007']);
});
