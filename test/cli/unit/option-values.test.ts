import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  delaysValue,
  durationValue,
  headerValue,
  integerValue,
  oneOrMore,
  parseDuration,
  positiveDurationValue,
} from '../../../src/cli/option-values.js';

test('headers add up, and their values may hold colons', () => {
  const first = headerValue('trace-id: 42');
  expect(headerValue('link:http://example.org', first)).toEqual({
    'trace-id': '42',
    link: 'http://example.org',
  });
});

test('a header after := is JSON, and keeps its type and all digits', () => {
  const headers = ['attempts:=3', 'beta:=true', 'tags:=["a",1]', 'big:=9007199254740993', 'sig: =x'].reduce(
    (all, text) => headerValue(text, all),
    {},
  );
  expect(headers).toEqual({ attempts: 3, beta: true, tags: ['a', 1], big: 9007199254740993n, sig: '=x' });
  expect(() => headerValue('sig:=x')).toThrow('Write JSON');
});

test('a header may be empty, but not its name', () => {
  expect(headerValue('flag:')).toEqual({ flag: '' });
  expect(() => headerValue(':value')).toThrow('name:value');
  expect(() => headerValue('no colon')).toThrow('name:value');
});

test('a header named __proto__ is a header', () => {
  expect(Object.entries(headerValue('__proto__:x'))).toEqual([['__proto__', 'x']]);
});

test('whole numbers are read within their bounds', () => {
  const priority = integerValue(0, 31);
  expect([priority('0'), priority('31'), oneOrMore('7')]).toEqual([0, 31, 7]);
  for (const text of ['32', '-1', '1.5', '', 'x', '1e1', ' 1']) {
    expect(() => priority(text)).toThrow('from 0 to 31');
  }
  expect(() => oneOrMore('0')).toThrow('at least 1');
});

test.each([
  ['500ms', 500],
  ['5s', 5000],
  ['1.5s', 1500],
  ['2m', 120_000],
  ['1h', 3_600_000],
  ['0', 0],
])('%s is %i ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each([
  '',
  '5',
  '1500',
  's',
  '5 s',
  '-1s',
  '5d',
  '1e3',
  'Infinity',
  'NaN',
  '1.s',
  '0x10',
  '5s5',
  '25d',
  '600h',
])('%j is no duration that a timer can carry', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test('any text yields whole milliseconds within the range of a timer, or nothing', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,12}(\.\d{1,3})?(ms|s|m|h)?$/)), (text) => {
      const ms = parseDuration(text);
      return ms === undefined || (Number.isInteger(ms) && ms >= 0 && ms < 2 ** 31);
    }),
  );
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

test.each([
  ['5', '5s'],
  ['1500', '1500ms'],
  ['0.5', '0.5s'],
])(
  '%s is refused, since it may be milliseconds to one reader and seconds to the next',
  (text, suggestion) => {
    for (const read of [durationValue, positiveDurationValue, delaysValue]) {
      expect(() => read(text)).toThrow(suggestion);
    }
  },
);
