import { expect, test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('bulk-insert: few transactions for many rows, and one bad row takes no other with it', async () => {
  const lines = await linesOf('bulk-insert');
  expect(lines[0]).toMatch(/^one by one +300 rows, 300 transactions/);
  expect(lines[2]).toMatch(/^one is refused +299 rows, 1 dead letter/);
  await expectAsInReadme('bulk-insert', lines, {
    varies: [/[\d.]+ s$/, /(?<=300 rows, )\d(?= transactions)/],
  });
});
