import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cut, padTo, widthOf, wrap } from '../../../src/cli/layout.js';

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
