import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDuration, showDuration } from '../../src/cli/duration.js';
import { delaysValue, positiveDurationValue } from '../../src/cli/option-values.js';

test.each([
  ['500ms', 500],
  ['1500', 1500],
  ['5s', 5000],
  ['1.5s', 1500],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['0', 0],
])('%s is %i ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['', 's', '5 s', '-1s', '5d', '1e3', 'Infinity', 'NaN', '1.s', '0x10', '5s5', '25d', '600h'])(
  '%j is no duration that a timer can carry',
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);

test('any text gives whole milliseconds within what a timer can carry, or nothing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,12}(\.\d{1,3})?(ms|s|m|h)?$/)), (text) => {
      const ms = parseDuration(text);
      return ms === undefined || (Number.isInteger(ms) && ms >= 0 && ms < 2 ** 31);
    }),
  );
});

test('durations are shown in the unit that fits', () => {
  expect([0, 999, 1000, 1500, 59_940, 60_000, 90_000].map(showDuration)).toEqual([
    '0 ms',
    '999 ms',
    '1 s',
    '1.5 s',
    '59.9 s',
    '1 min',
    '1.5 min',
  ]);
});

test('delays are a list of durations, or none', () => {
  expect(delaysValue('1s,10s')).toEqual([1000, 10_000]);
  expect(delaysValue('0')).toEqual([0]);
  expect(delaysValue('none')).toEqual([]);
  expect(() => delaysValue('1s,,2s')).toThrow('duration');
});

test('a wait that must not be empty refuses 0', () => {
  expect(positiveDurationValue('1ms')).toBe(1);
  expect(() => positiveDurationValue('0s')).toThrow('1ms');
});
