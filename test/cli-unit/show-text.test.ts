import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeControls, showBody } from '../../src/cli/show-text.js';

const ESC = '\u001b';

test('text is shown as it is', () => {
  expect(showBody(Buffer.from('Grüße, 世界!'), true)).toBe('Grüße, 世界!');
});

test('on a terminal control characters are escaped, so that a message cannot drive it', () => {
  expect(showBody(Buffer.from(`${ESC}[2J\r\u009b1m\u007f`), true)).toBe('\\x1b[2J\\x0d\\x9b1m\\x7f');
});

test('elsewhere they are written as they came', () => {
  expect(showBody(Buffer.from(`${ESC}[2J`), false)).toBe(`${ESC}[2J`);
});

test('line feeds and tabs stay', () => {
  expect(escapeControls('a\tb\nc')).toBe('a\tb\nc');
});

test('bytes that are no UTF-8 are shown one by one', () => {
  expect(showBody(Buffer.from([0x41, 0xff, 0x00, 0xe9, 0x7a]), false)).toBe('A\\xff\\x00\\xe9z');
});

test('whatever the bytes, a terminal gets no control character but tab and line feed', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(showBody(bytes, true)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
    }),
  );
});
