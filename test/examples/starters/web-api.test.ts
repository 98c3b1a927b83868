import { test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('web-api: stored, refused, or too many requests', async () => {
  // The answer to the last order and its handling are two processes in earnest.
  await expectAsInReadme('web-api', await linesOf('web-api'), { anyOrder: true });
});
