import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RateLimit } from '../../src/dead-letters/rate-limit.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  vi.advanceTimersByTime(1_000_000);
});
afterEach(() => {
  vi.useRealTimers();
});

test('time that steps took is not caught up by a burst', async () => {
  const limit = new RateLimit(1);
  await limit.step(undefined);
  vi.advanceTimersByTime(60_000);
  await limit.step(undefined);
  // The next one waits for its second, which the signal ends.
  const waiting = limit.step(AbortSignal.timeout(1));
  await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
});

test('a step that is due in more than a timer can wait does not start at once', async () => {
  const limit = new RateLimit(1e-9);
  await limit.step(undefined);
  await expect(limit.step(AbortSignal.timeout(20))).rejects.toMatchObject({ code: 'ABORTED' });
});
