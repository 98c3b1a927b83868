import { test } from 'vitest';
import { expectAsInReadme } from './readme-output.js';
import { linesOf } from './run-example.js';

test('nightly: each night has one report, whichever scheduler runs', async () => {
  await expectAsInReadme('nightly', await linesOf('nightly'));
});
