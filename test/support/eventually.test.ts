import { expect, test } from 'vitest';
import { eventually } from './eventually.js';

test('returns the first answer that is neither false nor an exception', async () => {
  let asked = 0;
  const answer = await eventually(
    () => {
      asked += 1;
      if (asked === 1) throw new Error('not yet');
      return asked === 2 ? false : `after ${asked}`;
    },
    { intervalMs: 1 },
  );
  expect(answer).toBe('after 3');
});

test('takes undefined for an answer, as an assertion gives it', async () => {
  expect(await eventually(() => undefined)).toBeUndefined();
});

test('tells the last failure when the time is over', async () => {
  const never = eventually(() => Promise.reject(new Error('depth is 3')), { timeoutMs: 30, intervalMs: 1 });
  await expect(never).rejects.toThrow('not within 30 ms: depth is 3');
});

test('ends in time when the question hangs', async () => {
  const hanging = eventually(() => new Promise<void>(() => {}), { timeoutMs: 30 });
  await expect(hanging).rejects.toThrow('not within 30 ms');
});
