import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Draining } from '../../src/consumer/draining.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test.each([
  [1000, 60_000],
  [60_000, 1000],
])(
  'the deadline of a stopping consumer is only brought forward: %d ms, then %d ms',
  async (first, second) => {
    const draining = new Draining();
    draining.bringForward(first);
    draining.bringForward(second);
    let isOver = false;
    void draining.wait().then(() => {
      isOver = true;
    });
    await vi.advanceTimersByTimeAsync(999);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(isOver).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  },
);
