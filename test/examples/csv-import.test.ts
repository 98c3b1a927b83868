import { test } from 'vitest';
import { expectAsInReadme } from './readme-output.js';
import { linesOf } from './run-example.js';

test('csv-import: all rows arrive but the bad one, which is named', async () => {
  await expectAsInReadme('csv-import', await linesOf('csv-import'));
});
