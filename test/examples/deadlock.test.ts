import { expect, test } from 'vitest';
import { linesOf } from './run-example.js';

test('deadlock: locks taken one after the other lock up, keys held together finish 10,000 pairs', async () => {
  const [naive, keyed] = await linesOf('deadlock');

  const done = /^one lock after the other: locked up with (\d+) of 10000 done$/.exec(naive ?? '')?.[1];
  expect(Number(done)).toBeLessThan(10_000);

  const side = /finished with 10000 of 10000 done, 0 clashes, up to (\d+) side by side$/.exec(
    keyed ?? '',
  )?.[1];
  expect(Number(side)).toBeGreaterThan(1);
});
