import { test } from 'vitest';
import { diskAddress } from '../support/disk.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';
import { expectTail } from './tail-lines.js';

test('tail prints every event, and the miller still handles each sack', async () => {
  const lines = await linesOf('tail');
  expectTail(lines);
  await expectAsInReadme('tail', lines, { anyOrder: true });
});

test('tail does the same on a folder', async () => {
  expectTail(await linesOf('tail', '-u', await diskAddress()));
});
