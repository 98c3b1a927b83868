import { test } from 'vitest';
import { expectLocked } from './lock-lines.js';
import { expectAsInReadme } from './readme-output.js';
import { linesOf } from './run-example.js';

test('lock: processes oversell without it, never with it, and a killed holder frees it, on a folder', async () => {
  const lines = await linesOf('lock');
  expectLocked(lines);
  await expectAsInReadme('lock', lines, { varies: [/^(without.*), \d+ sold$/] });
});
