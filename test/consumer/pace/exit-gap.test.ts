import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ExitGap } from '../../../src/consumer/pace/exit-gap.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('after half a second of work no handler starts until the running ones have ended and the gap is over', () => {
  const onOver = vi.fn();
  const gap = new ExitGap(onOver);
  expect(gap.enterIfDue(0)).toBe(false);
  vi.advanceTimersByTime(499);
  expect(gap.enterIfDue(1)).toBe(false);
  vi.advanceTimersByTime(1);
  expect(gap.enterIfDue(1)).toBe(true);
  expect(vi.getTimerCount()).toBe(0);

  expect(gap.enterIfDue(0)).toBe(true);
  vi.advanceTimersByTime(19);
  expect(gap.enterIfDue(0)).toBe(true);
  expect(onOver).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(onOver).toHaveBeenCalledTimes(1);
  expect(gap.enterIfDue(0)).toBe(false);
});

test('the time is counted from zero after a gap, and after a moment without messages', () => {
  const gap = new ExitGap(() => {});
  gap.enterIfDue(0);
  vi.advanceTimersByTime(500);
  gap.enterIfDue(0);
  vi.advanceTimersByTime(20);
  gap.enterIfDue(0);
  vi.advanceTimersByTime(499);
  expect(gap.enterIfDue(0)).toBe(false);

  gap.idle();
  gap.enterIfDue(0);
  vi.advanceTimersByTime(499);
  expect(gap.enterIfDue(0)).toBe(false);
  vi.advanceTimersByTime(1);
  expect(gap.enterIfDue(0)).toBe(true);
});
