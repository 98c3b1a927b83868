import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Delivery } from '../../../src/broker.js';
import { PlainLine } from '../../../src/consumer/pace/line.js';
import { MAX_TURN_WAIT_MS } from '../../../src/consumer/pace/rate.js';
import { RateWindow } from '../../../src/consumer/pace/rate-window.js';
import { RatedLine } from '../../../src/consumer/pace/rated-line.js';

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
          expect(window.nextAt() <= now).toBe(inSpan < limit);
          if (window.nextAt() <= now) {
            window.take(now);
            begun.push(now);
          }
          expect(window.isIdle(now + perMs)).toBe(true);
        }
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
  'deliveries that wait too long for their turn are given back, with one timer for all (keyed: %s)',
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

test('windows of keys that are idle are forgotten, so that no more than a thousand are kept', () => {
  const isIdle = vi.spyOn(RateWindow.prototype, 'isIdle');
  const line = new RatedLine(new PlainLine(), {
    rate: { limit: 1, perMs: 10 },
    keyOf: nameOf,
    onReady: () => {},
    onTooLong: () => {},
  });
  for (let key = 0; key <= 5000; key++) {
    line.add(delivery(String(key)));
    expect(nameOf(line.take())).toBe(String(key));
    vi.advanceTimersByTime(10);
  }
  // One look at each of a thousand, five times: those seen before are gone.
  expect(isIdle).toHaveBeenCalledTimes(5000);
  isIdle.mockRestore();
});

test('a delivery that may begin, but has no slot, waits without a timer that fires over and over', () => {
  const ready = vi.fn();
  const line = new RatedLine(new PlainLine(), {
    rate: { limit: 1, perMs: 10 },
    keyOf: (one) => nameOf(one)?.slice(0, 1),
    onReady: ready,
    onTooLong: () => {},
  });
  for (const name of ['a1', 'a2']) line.add(delivery(name));
  expect(nameOf(line.take())).toBe('a1');
  expect(line.take()).toBeUndefined();
  vi.advanceTimersByTime(5000);
  expect(ready.mock.calls.length).toBeLessThanOrEqual(2);
  expect(nameOf(line.take())).toBe('a2');
});
