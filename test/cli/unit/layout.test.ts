import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cut, cutName, padTo, widthOf, wrap } from '../../../src/cli/layout.js';

test('a text takes the columns that terminals give it', () => {
  expect(widthOf('Grüße')).toBe(5);
  expect(widthOf('世界')).toBe(4);
  expect(widthOf('e\u0301')).toBe(1);
  expect(widthOf('😀')).toBe(2);
});

test('cells are padded to the width of the column', () => {
  expect(padTo('世界', 6)).toBe('世界  ');
  expect(padTo('long', 2)).toBe('long');
});

test('text that is too wide is cut between two characters', () => {
  expect(cut('abcdef', 6)).toBe('abcdef');
  expect(cut('abcdef', 5)).toBe('abcd…');
  expect(cut('世界世界', 6)).toBe('世界…');
  expect(cut('a😀b😀', 4)).toBe('a😀…');
});

test('whatever the text, a cut one fits and is well-formed', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 20 }), (text, width) => {
      expect(widthOf(cut(text, width))).toBeLessThanOrEqual(width);
      expect(cut(text, width).isWellFormed()).toBe(true);
    }),
  );
});

test('a line is wrapped between words, and keeps the spaces within its rows', () => {
  expect(wrap('  one   two three', 11)).toBe('  one   two\nthree');
  expect(wrap('one two\nthree four', 7)).toBe('one two\nthree\nfour');
  expect(wrap('incomprehensible', 5)).toBe('incomprehensible');
});

test('a name is cut in the middle, to exactly the width, since names often differ at their end only', () => {
  expect(cutName('orders-of-the-north-1', 12)).toBe('orders…rth-1');
  expect(cutName('orders', 6)).toBe('orders');
  expect(cutName('orders', 2)).toBe('o…');
  expect(cutName('漢字漢字漢字', 8)).toBe('漢字…字');
  for (const width of [3, 4, 5, 9, 20])
    expect(widthOf(cutName('漢a字b漢c字d漢e字f', width))).toBeLessThanOrEqual(width);
});
