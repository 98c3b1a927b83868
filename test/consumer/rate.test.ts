import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Delivery } from '../../src/broker.js';
import { Breaker } from '../../src/consumer/breaker.js';
import { KeyLanes } from '../../src/consumer/key-lanes.js';
import { PlainLine } from '../../src/consumer/line.js';
import { MAX_TURN_WAIT_MS, RatedLine, RateWindow } from '../../src/consumer/rate.js';

const positive = (max: number) => fc.integer({ min: 1, max });

test('a window never lets more than its limit begin in any span, and lets them begin as soon as it may', () => {
  fc.assert(
    fc.property(
      positive(5),
      positive(100),
      fc.array(fc.nat(40), { maxLength: 100 }),
      (limit, perMs, steps) => {
        const window = new RateWindow({ limit, perMs });
        const begun: number[] = [];
        let now = 0;
        for (const step of steps) {
          now += step;
          const inSpan = begun.filter((at) => at > now - perMs).length;
          expect(window.nextAt <= now).toBe(inSpan < limit);
          if (window.nextAt <= now) {
            window.take(now);
            begun.push(now);
          }
          expect(window.isIdle(now + perMs)).toBe(true);
        }
      },
    ),
  );
});

/** Items of several keys: no key has more than its width taken, and whatever could be taken is. */
test('as many of a key are taken as the lanes are wide, in the order of arrival, and none is forgotten', () => {
  const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 });
  fc.assert(
    fc.property(
      positive(3),
      fc.array(fc.record({ keys, removes: fc.nat(9) }), { maxLength: 60 }),
      (width, steps) => {
        const lanes = new KeyLanes<number>(width);
        const keysOf = new Map<number, readonly string[]>();
        const taken = new Set<number>();
        const held = () => [...keysOf.keys()].sort((a, b) => a - b);
        const takeAll = () => {
          for (let item = lanes.take(); item !== undefined; item = lanes.take()) taken.add(item);
          for (const item of held()) {
            const own = keysOf.get(item) ?? [];
            const ahead = (key: string) =>
              held().filter((other) => other < item && keysOf.get(other)?.includes(key)).length;
            expect(taken.has(item)).toBe(own.every((key) => ahead(key) < width));
          }
        };
        for (const [item, step] of steps.entries()) {
          keysOf.set(item, step.keys);
          lanes.add(item, step.keys);
          takeAll();
          const removed = held()[step.removes];
          if (removed === undefined) continue;
          lanes.remove(removed);
          keysOf.delete(removed);
          taken.delete(removed);
          takeAll();
        }
        for (const item of held()) {
          lanes.remove(item);
          keysOf.delete(item);
          takeAll();
        }
        expect(lanes.size).toBe(0);
      },
    ),
  );
});

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const delivery = (name: string) => ({ name }) as unknown as Delivery;
const nameOf = (one: Delivery | undefined) => (one as unknown as { readonly name: string } | undefined)?.name;

test.each([false, true])(
  'what waits for its turn too long is given back, with one timer for all (keyed: %s)',
  (isKeyed) => {
    const ready = vi.fn();
    const back: (string | undefined)[] = [];
    const line = new RatedLine(new PlainLine(), {
      rate: { limit: 1, perMs: 600_000 },
      keyOf: isKeyed ? (one) => nameOf(one)?.slice(0, 1) : undefined,
      onReady: ready,
      onTooLong: (one) => back.push(nameOf(one)),
    });
    for (const name of ['a1', 'a2', 'a3']) line.add(delivery(name));
    expect(nameOf(line.take())).toBe('a1');
    expect(line.take()).toBeUndefined();
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(MAX_TURN_WAIT_MS - 10);
    expect(back).toEqual([]);
    line.add(delivery('a4'));
    expect(line.take()).toBeUndefined();
    vi.advanceTimersByTime(20);
    expect(back).toEqual(['a2', 'a3']);
    expect(ready).toHaveBeenCalled();
    expect(line.clear().map(nameOf)).toEqual(['a4']);
    expect(vi.getTimerCount()).toBe(0);
  },
);

test('a breaker opens by the share of failures, and closes by one success', () => {
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
