import { expect, test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('reminders: each arrives at its time, and not in the order in which they were sent', async () => {
  const lines = await linesOf('reminders');
  const times = lines.map((line) => Number(/^after (\d+) s/.exec(line)?.[1]));
  expect(times[1]).toBeGreaterThanOrEqual(1);
  expect(times[2]).toBeGreaterThanOrEqual(4);
  await expectAsInReadme('reminders', lines, { varies: [/^after \d+ s/] });
});
