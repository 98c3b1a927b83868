import { test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';
import { expectLocked } from './lock-lines.js';

test('lock: processes oversell without it, never with it, and a killed holder frees it, on a folder', async () => {
  const lines = await linesOf('lock');
  expectLocked(lines);
  await expectAsInReadme('lock', lines, { varies: [/^(without.*), \d+ sold$/] });
});
