import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_DELAY_MS } from '../../src/common/options.js';
import { type RetryBackoff, type RetryPolicy, retriesOption } from '../../src/consumer/retry-policy.js';
import { settlementFor, thrown } from '../../src/consumer/settlement.js';
import { Postpone, RejectMessage, RetryLater } from '../../src/errors.js';
import { message } from '../contract/contract-context.js';
import { rejection } from '../support/rejection.js';

const check = (policy: unknown) => retriesOption(policy as RetryPolicy, undefined);

const delay = fc.integer({ min: 0, max: MAX_DELAY_MS });
const backoff: fc.Arbitrary<RetryBackoff['backoff']> = fc.oneof(
  fc.constantFrom(undefined, 'exponential' as const),
  fc.func(delay),
  fc.func(
    fc.constantFrom(Number.NaN, -1, Number.POSITIVE_INFINITY, 'soon', undefined) as fc.Arbitrary<number>,
  ),
);

test('a computed delay is within its limits, whatever the function says', () => {
  fc.assert(
    fc.property(
      fc.record({
        attempts: fc.integer({ min: 1, max: 100 }),
        backoff,
        jitter: fc.double({ min: 0, max: 1, noNaN: true }),
        maxDelayMs: delay,
      }),
      fc.integer({ min: 1, max: 1000 }),
      (policy, attempt) => {
        const { delayAfter } = check(policy);
        const delayMs = delayAfter(attempt);
        expect(Number.isInteger(delayMs)).toBe(true);
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThanOrEqual(policy.maxDelayMs);
      },
    ),
  );
});

test('exponential delays double from a second on', () => {
  const { delayAfter, exactDelaysMs } = check({ attempts: 9 });
  expect([1, 2, 3, 4, 5].map(delayAfter)).toEqual([1000, 2000, 4000, 8000, 16_000]);
  expect(delayAfter(1000)).toBe(3_600_000);
  expect(exactDelaysMs).toEqual([]);
});

test('an asynchronous function is none, and its rejection does not end the process', async () => {
  const rejected: unknown[] = [];
  const onRejection = (reason: unknown) => rejected.push(reason);
  process.on('unhandledRejection', onRejection);
  const later = async () => {
    throw new Error('no delay');
  };
  expect(check({ attempts: 9, backoff: later }).delayAfter(2)).toBe(2000);
  await new Promise(setImmediate);
  process.off('unhandledRejection', onRejection);
  expect(rejected).toEqual([]);
});

test('jitter leaves a share of the delay to chance', () => {
  const { delayAfter } = check({ attempts: 9, backoff: () => 1000, jitter: 0.5 });
  const drawn = Array.from({ length: 200 }, () => delayAfter(1));
  expect(Math.min(...drawn)).toBeGreaterThanOrEqual(500);
  expect(Math.max(...drawn)).toBeLessThanOrEqual(1000);
  expect(new Set(drawn).size).toBeGreaterThan(10);
});

test.each([
  [{}, 'retry.delaysMs'],
  [{ delaysMs: [1.5] }, 'retry.delaysMs[0]'],
  [{ delaysMs: [1], backoff: 'exponential' }, 'backoff'],
  [{ attempts: 0 }, 'retry.attempts'],
  [{ attempts: 3, backoff: 'linear' }, 'retry.backoff'],
  [{ attempts: 3, jitter: 2 }, 'retry.jitter'],
  [{ attempts: 3, maxDelayMs: 2 ** 31 }, 'retry.maxDelayMs'],
  [{ attempts: 3, delaysMs: [1] }, 'delaysMs'],
])('%j is refused', async (policy, name) => {
  const error = await rejection((async () => check(policy))(), 'INVALID_OPTION');
  expect(error.message).toContain(name);
});

test.each([-1, Number.NaN, 2 ** 31, '5'])('a delay of %s is refused when it is thrown', async (delayMs) => {
  for (const make of [RetryLater, Postpone]) {
    const error = await rejection((async () => new make(delayMs as number))(), 'INVALID_OPTION');
    expect(error.message).toBe(
      `delayMs: expected a number from 0 to 2147483647, in milliseconds, got ${typeof delayMs} ${delayMs}`,
    );
  }
});

test('a message has one of four outcomes, and its attempts and postponements are bounded', () => {
  const errors = fc.constantFrom(
    () => new Error('no'),
    () => new RejectMessage('never'),
    () => new RetryLater(7),
    () => new Postpone(7),
  );
  fc.assert(
    fc.property(
      fc.array(errors, { minLength: 60, maxLength: 60 }),
      fc.integer({ min: 1, max: 6 }),
      fc.nat(6),
      (thrownErrors, attempts, maxPostpones) => {
        const retries = check({ attempts });
        let attempt = 1;
        let postpones = 0;
        let isDead = false;
        for (const make of thrownErrors) {
          const headers = postpones === 0 ? {} : { 'x-millrace-postpones': String(postpones) };
          const settlement = settlementFor(
            thrown(make()),
            { attempt, message: message({ headers }) },
            { retries, maxPostpones, onExpired: undefined, errorStacks: false },
          );
          isDead = settlement.verb === 'dead-letter';
          if (isDead) break;
          if (settlement.verb === 'retry') attempt++;
          else postpones++;
        }
        expect(isDead).toBe(true);
        expect(attempt).toBeLessThanOrEqual(attempts);
        expect(postpones).toBeLessThanOrEqual(maxPostpones);
      },
    ),
  );
});
