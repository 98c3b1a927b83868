import { expect, test } from 'vitest';
import { eventually, untilAsserted } from './eventually.js';

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

test('undefined is not a valid result, for the compiler or at run time', async () => {
  const cast: { first?: { value?: string } } = {};
  // @ts-expect-error A chain that may lead nowhere needs `?? false`.
  const never = eventually(() => cast.first?.value, { timeoutMs: 30, intervalMs: 1 });
  await expect(never).rejects.toThrow('not within 30 ms: the question returned undefined');
  const later = eventually(() => cast.first?.value ?? false, { intervalMs: 1 });
  cast.first = { value: 'there' };
  expect(await later).toBe('there');
});

test('assertions are repeated until they pass, and return nothing', async () => {
  let asked = 0;
  await untilAsserted(() => expect(++asked).toBe(3), { intervalMs: 1 });
  expect(asked).toBe(3);
  await untilAsserted(async () => expect(++asked).toBe(5), { intervalMs: 1 });
  // @ts-expect-error What returns an answer is a question.
  await untilAsserted(() => asked === 5);
});

test('tells the last failure when the time is over', async () => {
  const never = eventually(() => Promise.reject(new Error('depth is 3')), { timeoutMs: 30, intervalMs: 1 });
  await expect(never).rejects.toThrow('not within 30 ms: depth is 3');
});

test('ends in time when the question hangs', async () => {
  const hanging = eventually(() => new Promise<boolean>(() => {}), { timeoutMs: 30 });
  await expect(hanging).rejects.toThrow('not within 30 ms');
});
