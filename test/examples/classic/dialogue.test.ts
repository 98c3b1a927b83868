import { expect, test } from 'vitest';
import { diskAddress } from '../support/disk.js';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';
import { DIALOGUE } from './dialogue-lines.js';

test('dialogue: the speakers take strict turns', async () => {
  const lines = await linesOf('dialogue');
  expect(lines).toEqual(DIALOGUE);
  await expectAsInReadme('dialogue', lines);
});

test('dialogue: the speakers take strict turns on a folder', async () => {
  expect(await linesOf('dialogue', '-u', await diskAddress())).toEqual(DIALOGUE);
});
