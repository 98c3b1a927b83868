import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { newFolder } from '../folders.js';

const SCRIPT = fileURLToPath(new URL('../processes/awaited-sends.mjs', import.meta.url));
const SENDS = 40;

/** Whether the system calls of a process can be counted here. */
const canTrace = process.platform === 'linux' && tryTrace();

function tryTrace(): boolean {
  try {
    execFileSync('strace', ['-f', '-o', '/dev/null', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** By which a process has the disk write what it was given. */
const SYNCS = ['fdatasync', 'fsync', 'msync'];

/** How often a process that sends `count` messages, each awaited, makes these system calls. */
function callsOf(names: string[], durability: string, count: number, subscriber: string[]): number {
  const folder = newFolder();
  const counts = join(folder, 'strace.txt');
  const trace = ['-f', '-c', '-e', `trace=${names.join(',')}`, '-o', counts];
  execFileSync(
    'strace',
    [...trace, process.execPath, SCRIPT, folder, durability, String(count), ...subscriber],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  // Columns: % time, seconds, microseconds a call, calls, errors (or nothing), name.
  return readFileSync(counts, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => names.includes(columns.at(-1) ?? ''))
    .reduce((sum, columns) => sum + Number(columns[3]), 0);
}

describe.skipIf(!canTrace)('counted from outside (needs strace and the right to trace)', () => {
  const extra = (durability: string, subscriber: string[], names = SYNCS) =>
    callsOf(names, durability, SENDS, subscriber) - callsOf(names, durability, 0, subscriber);

  test("durability 'flush' syncs for each awaited send, 'commit' does not", () => {
    expect(extra('flush', [])).toBeGreaterThanOrEqual(SENDS);
    expect(extra('commit', [])).toBeLessThan(SENDS / 4);
  });

  test("with a subscriber, 'flush' syncs for each awaited send, and 'commit' for what is taken and acknowledged", () => {
    expect(extra('flush', ['subscriber'])).toBeGreaterThanOrEqual(SENDS);
    // Its prefetch is two: no transaction takes more than that.
    expect(extra('commit', ['subscriber'])).toBeGreaterThanOrEqual(SENDS / 2);
  });

  test("with durability 'commit', what is taken and acknowledged is synced also after sends that were not", () => {
    // Two are taken at a time; the first take shares its sync with what a subscriber costs without messages.
    expect(extra('commit', ['late-subscriber'])).toBeGreaterThanOrEqual(SENDS / 2 - 1);
  });

  test('while the disk has ample space, a send does not check it', () => {
    expect(extra('flush', [], ['statfs'])).toBeLessThan(SENDS / 2);
  });
});
