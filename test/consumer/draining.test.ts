import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Draining } from '../../src/consumer/draining.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('the deadline of a stopping consumer is only brought forward, and leaves no timer', async () => {
  const draining = new Draining();
  draining.bringForward(1000);
  draining.bringForward(60_000);
  let isOver = false;
  const waiting = draining.wait().then(() => {
    isOver = true;
  });
  await vi.advanceTimersByTimeAsync(500);
  expect(isOver).toBe(false);
  draining.bringForward(100);
  await vi.advanceTimersByTimeAsync(100);
  expect(isOver).toBe(true);
  await waiting;
  expect(vi.getTimerCount()).toBe(0);
});
