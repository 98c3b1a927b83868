import { expect, test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

test('producer-consumer handles each item once and never has more in the queue than it has room for', async () => {
  const lines = await linesOf('producer-consumer');

  // The set holds each item once, and the consumers count each one that they handle.
  expect(lines.at(-1)).toBe('produced 60, handled 60, at most 10 of 10 in the queue');
  const counts = lines.flatMap((line) => /consumer \d handled (\d+) items/.exec(line)?.[1] ?? []);
  expect(counts).toHaveLength(2);
  expect(counts.map(Number).reduce((sum, count) => sum + count)).toBe(60);
  const varies = [/handled \d+ items/, /producer \d/, /consumer \d/, /\d+ wait/];
  await expectAsInReadme('producer-consumer', lines, { varies, anyOrder: true });
});
