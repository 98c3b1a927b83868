import { test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('nightly: each night has one report, whichever scheduler runs', async () => {
  await expectAsInReadme('nightly', await linesOf('nightly'));
});
