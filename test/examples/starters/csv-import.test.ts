import { test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('csv-import: all rows arrive but the bad one, which is named', async () => {
  await expectAsInReadme('csv-import', await linesOf('csv-import'));
});
