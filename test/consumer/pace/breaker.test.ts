import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Breaker } from '../../../src/consumer/pace/breaker.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('a breaker opens at the share of failures, and closes after one success', () => {
  const seen: string[] = [];
  const breaker = new Breaker(
    { failures: 3, ofLast: 5, pauseMs: 1000 },
    {
      open: (ms) => seen.push(`open ${ms}`),
      halfOpen: () => seen.push('half-open'),
      closed: () => seen.push('closed'),
    },
  );
  // Never three of five.
  for (const failed of [true, true, false, false, false, true, true, false, false]) breaker.note(failed);
  expect(seen).toEqual([]);
  breaker.note(true);
  expect(seen).toEqual(['open 1000']);
  breaker.note(false);
  vi.advanceTimersByTime(1000);
  breaker.note(true);
  expect(seen).toEqual(['open 1000', 'half-open', 'open 1000']);
  vi.advanceTimersByTime(1000);
  breaker.note(false);
  expect(seen.slice(3)).toEqual(['half-open', 'closed']);
  breaker.note(true);
  breaker.note(true);
  expect(seen).toHaveLength(5);
  expect(vi.getTimerCount()).toBe(0);
});
