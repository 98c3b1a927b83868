import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FlowMeter } from '../../../src/local-queue/memory/flow-meter.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('a rate is over the time since earlier queries, and unknown over less than a quarter of a second', () => {
  const meter = new FlowMeter();
  expect(meter.look()).toBeUndefined();
  meter.stored = 10;
  meter.settled = 4;
  vi.advanceTimersByTime(249);
  expect(meter.look()).toBeUndefined();
  vi.advanceTimersByTime(751);
  expect(meter.look()).toEqual({ in: 10, out: 4 });
  // The window moves on: what happened long ago does not count.
  for (let second = 0; second < 10; second++) {
    vi.advanceTimersByTime(1000);
    meter.look();
  }
  expect(meter.look()).toEqual({ in: 0, out: 0 });
});
