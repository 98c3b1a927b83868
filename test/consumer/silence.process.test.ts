import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('programs/failing.mjs', import.meta.url));

/** What the program of a newcomer writes. */
async function run(scene: string) {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program, scene]);
  return { stdout, stderr, count: (text: string) => stderr.split(text).length - 1 };
}

test.concurrent('a failing handler is one warning, with what it threw and where; a dead letter is another', async () => {
  const { stderr, count } = await run('plain');
  expect(count('[MILLRACE_ATTEMPT_FAILED] MillraceWarning')).toBe(1);
  expect(count('[MILLRACE_DEAD_LETTER] MillraceWarning')).toBe(2);
  expect(stderr).toMatch(/'orders': message [\w-]+: attempt 1 failed \(no paper for .*\); retrying in 1 ms/);
  expect(stderr).toMatch(/at .*shipTheOrder .*failing\.mjs/);
  expect(stderr).toContain('Set `observe` on the consumer or `logger` in connect() to see all');
});

test.concurrent('of many dead letters the first is told at once, and the others in one line with their number', async () => {
  const { stderr, count } = await run('dead-letters');
  expect(count('[MILLRACE_DEAD_LETTER]')).toBe(2);
  expect(stderr).toContain('and 98 more before it');
});

test.concurrent('what a queue without dead letters drops is told, too', async () => {
  expect((await run('dropped')).stderr).toContain('It was dropped: the queue keeps no dead letters.');
});

test.concurrent('text of a stranger reaches the terminal without its controls', async () => {
  const { stderr } = await run('plain');
  expect(stderr).not.toContain('\x1b');
  expect(stderr).toContain('\\x1b[31mA-1');
});

test.concurrent('whoever observes gets no warning', async () => {
  expect((await run('observed')).stderr).toBe('');
});

test.concurrent('a console as logger gets each failure with what was thrown, and there are no warnings', async () => {
  const { stderr, count } = await run('logger');
  expect(stderr).not.toContain('MILLRACE_');
  expect(count('attempt 1 failed')).toBe(2);
  expect(count('dead-lettered after attempt 2, failed')).toBe(2);
  expect(count('Error: no paper')).toBe(4);
});
