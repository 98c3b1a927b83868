import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { memoryRateGrants } from '../../../src/local-queue/memory/rate-grants.js';
import type { StartCounts } from '../../../src/local-queue/rate-grants.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

test('keys that are idle are forgotten, so that no more than a thousand are kept besides the busy ones', async () => {
  const known = new Map<string, StartCounts>();
  const take = memoryRateGrants(() => {}, known);
  const request = { queue: 'q', limit: 1, count: 1, validMs: 10 };
  await take({ ...request, key: 'busy', perMs: 3_600_000 });
  for (let key = 0; key < 3000; key++) {
    vi.advanceTimersByTime(1);
    await take({ ...request, key: `${key}`, perMs: 100 });
    expect(known.size).toBeLessThanOrEqual(1001);
  }
  expect((await take({ ...request, key: 'busy', perMs: 3_600_000 })).count).toBe(0);
});
