import { expect, test } from 'vitest';
import { DIALOGUE } from './dialogue-lines.js';
import { diskAddress } from './disk.js';
import { expectAsInReadme } from './readme-output.js';
import { linesOf } from './run-example.js';

test('dialogue: the speakers take strict turns', async () => {
  const lines = await linesOf('dialogue');
  expect(lines).toEqual(DIALOGUE);
  await expectAsInReadme('dialogue', lines);
});

test('dialogue: the speakers take strict turns on a folder', async () => {
  expect(await linesOf('dialogue', '-u', await diskAddress())).toEqual(DIALOGUE);
});
