import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_GRANT_MS } from '../../src/common/waiting/waiting.js';
import { grantStarts, idleAt, type StartCounts } from '../../src/local-queue/rate-grants.js';

/** What one of several consumers does next, after a while. */
const step = fc.record({
  afterMs: fc.nat(60),
  who: fc.nat(2),
  count: fc.integer({ min: 1, max: 4 }),
  /** How many of the granted starts it uses, and how long after the grant. */
  uses: fc.nat(4),
  useAfterMs: fc.nat(30),
  /** It dies, and tells nothing. */
  dies: fc.boolean(),
});

test('however several consumers ask, use, keep back and die: no more begin in any span than the limit', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 300 }),
      fc.array(step, { maxLength: 60 }),
      (limit, perMs, steps) => {
        let counts: StartCounts | undefined;
        let now = 1000;
        const begun: number[] = [];
        const open = new Map<number, { grant: number; count: number; used: number[] }>();
        for (const { afterMs, who, count, uses, useAfterMs, dies } of steps) {
          now += afterMs;
          const last = open.get(who);
          open.delete(who);
          const ended = last && {
            grant: last.grant,
            count: last.count,
            usedMsAgo: last.used.map((at) => now - at),
          };
          const taken = grantStarts(
            counts,
            { queue: 'q', key: '', limit, perMs, count, validMs: 30, ended },
            now,
          );
          counts = taken.counts;
          const used = Array.from({ length: Math.min(uses, taken.grant.count) }, () => now + useAfterMs);
          begun.push(...used);
          now += useAfterMs;
          if (!dies && taken.grant.count > 0)
            open.set(who, { grant: taken.grant.grant, count: taken.grant.count, used });
        }
        begun.sort((one, other) => one - other);
        for (const at of begun)
          expect(begun.filter((one) => one >= at && one < at + perMs).length).toBeLessThanOrEqual(limit);
      },
    ),
  );
});

const request = { queue: 'q', key: '', limit: 2, perMs: 1000, count: 2, validMs: 500, ended: undefined };

test('starts that were granted and not used are free again when that is told', () => {
  const first = grantStarts(undefined, request, 0);
  expect(first.grant.count).toBe(2);
  expect(grantStarts(first.counts, request, 1).grant).toMatchObject({ count: 0, waitMs: 1000 });
  const ended = { ...first.grant, usedMsAgo: [10] };
  expect(grantStarts(first.counts, { ...request, ended }, 20).grant.count).toBe(1);
});

test('a grant that is ended twice, or with more starts than it had, frees no starts of others', () => {
  const first = grantStarts(undefined, { ...request, count: 1 }, 0);
  const second = grantStarts(first.counts, { ...request, count: 1, validMs: 400 }, 1);
  expect([first.grant.count, second.grant.count]).toEqual([1, 1]);
  const ended = { grant: first.grant.grant, count: 5, usedMsAgo: [1] };
  const once = grantStarts(second.counts, { ...request, ended }, 2);
  expect(once.grant.count).toBe(0);
  expect(grantStarts(once.counts, { ...request, ended: { ...ended, usedMsAgo: [] } }, 3).grant.count).toBe(0);
});

test('of a consumer that has died they are free when they are too old to be used', () => {
  const { counts } = grantStarts(undefined, request, 0);
  expect(grantStarts(counts, request, 1499).grant.count).toBe(0);
  expect(grantStarts(counts, request, 1520).grant.count).toBe(2);
});

test('times of a clock that is far ahead block starts for one span at most', () => {
  const ahead: StartCounts = { perMs: 1000, begun: [[10 * MAX_GRANT_MS, 2]] };
  const { counts, grant } = grantStarts(ahead, request, 0);
  expect(grant.count).toBe(0);
  expect(grantStarts(counts, request, 1100).grant.count).toBe(2);
});

test('a large limit takes a short list', () => {
  let counts: StartCounts | undefined;
  let granted = 0;
  let longest = 0;
  for (let now = 0; now < 2000; now++) {
    const taken = grantStarts(counts, { ...request, limit: 100_000, count: 5, validMs: 1 }, now);
    const ended = { ...taken.grant, usedMsAgo: Array.from({ length: taken.grant.count }, () => 0) };
    granted += taken.grant.count;
    counts = grantStarts(taken.counts, { ...request, limit: 100_000, count: 0, ended }, now).counts;
    longest = Math.max(longest, counts.begun.length);
  }
  expect(granted).toBe(10_000);
  expect(longest).toBeLessThan(70);
  expect(idleAt(counts as StartCounts)).toBeLessThan(3020);
});
