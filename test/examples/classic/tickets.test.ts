import { expect, test } from 'vitest';
import { expectAsInReadme } from '../support/readme-output.js';
import { linesOf } from '../support/run-example.js';

/** What was sold of each event, out of ten. */
const soldIn = (line = '') => [...line.matchAll(/(\d+)\/10/g)].map((match) => Number(match[1]));

test('tickets: served all at once they are sold several times, served by key never', async () => {
  const lines = await linesOf('tickets');
  const [allAtOnce, oneAtATime, byKey, processes, ...more] = lines;

  expect(allAtOnce).toMatch(/^all at once:/);
  expect(Math.max(...soldIn(allAtOnce))).toBeGreaterThan(10);

  expect(oneAtATime).toMatch(/^one at a time:.* 33 buyers happy, at most 1 served at once$/);
  expect(soldIn(oneAtATime)).toEqual([10, 10, 10, 10]);

  expect(byKey).toMatch(/^one at a time for each event:.* 33 buyers happy, at most [2-4] served at once$/);
  expect(soldIn(byKey)).toEqual([10, 10, 10, 10]);
  expect(processes).toMatch(/^4 processes ask the one that owns the tickets:.* 40 buyers happy$/);
  expect(soldIn(processes)).toEqual([10, 10, 10, 10]);
  expect(more).toEqual([]);
  await expectAsInReadme('tickets', lines, { varies: [/^(all at once): .*/, /at most \d+/] });
});
