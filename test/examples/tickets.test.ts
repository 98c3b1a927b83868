import { expect, test } from 'vitest';
import { linesOf } from './run-example.js';

/** What was sold of each event, out of ten. */
const soldIn = (line = '') => [...line.matchAll(/(\d+)\/10/g)].map((match) => Number(match[1]));

test('tickets: served all at once they are sold several times, served by key never', async () => {
  const [allAtOnce, oneAtATime, byKey, ...more] = await linesOf('tickets');

  expect(allAtOnce).toMatch(/^all at once:/);
  expect(Math.max(...soldIn(allAtOnce))).toBeGreaterThan(10);

  expect(oneAtATime).toMatch(/^one at a time:.* 33 buyers happy, at most 1 served at once$/);
  expect(soldIn(oneAtATime)).toEqual([10, 10, 10, 10]);

  expect(byKey).toMatch(/^one at a time for each event:.* 33 buyers happy, at most [2-4] served at once$/);
  expect(soldIn(byKey)).toEqual([10, 10, 10, 10]);
  expect(more).toEqual([]);
});
