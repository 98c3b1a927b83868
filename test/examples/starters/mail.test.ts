import { test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('mail: what may pass is tried again, what may not is a dead letter with its reason', async () => {
  await expectAsInReadme('mail', await linesOf('mail'), { anyOrder: true });
});
