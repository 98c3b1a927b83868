import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const program = fileURLToPath(new URL('pending-retry.mjs', import.meta.url));

test('a subscription keeps the process alive until it is cancelled; a pending retry does not', async () => {
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000 });
  const [[code, signal], output] = await Promise.all([once(child, 'exit'), text(child.stdout)]);
  expect({ code, signal, output }).toEqual({ code: 0, signal: null, output: 'alive 1\n' });
});
