import { expect, test } from 'vitest';
import { DIALOGUE } from './dialogue-lines.js';
import { linesOf } from './run-example.js';

test('dialogue: the speakers take strict turns', async () => {
  expect(await linesOf('dialogue')).toEqual(DIALOGUE);
});
