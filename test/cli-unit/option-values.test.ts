import { expect, test } from 'vitest';
import { headerValue, integerValue, oneOrMore } from '../../src/cli/option-values.js';

test('headers add up, and their values may hold colons', () => {
  const first = headerValue('trace-id: 42');
  expect(headerValue('link:http://example.org', first)).toEqual({
    'trace-id': '42',
    link: 'http://example.org',
  });
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
