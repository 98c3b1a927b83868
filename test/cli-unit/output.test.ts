import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeControls, showBody } from '../../src/cli/output.js';

const ESC = '\u001b';

test('text is shown as it is', () => {
  expect(showBody(Buffer.from('Grüße, 世界!'))).toBe('Grüße, 世界!');
});

test('bytes that are no UTF-8 are shown one by one', () => {
  expect(showBody(Buffer.from([0x41, 0xff, 0x00, 0xe9, 0x7a]))).toBe('A\\xff\\x00\\xe9z');
});

test('control characters are escaped, so that a message cannot drive the terminal', () => {
  expect(escapeControls(`${ESC}[2J\r\u009b1m\u007f`)).toBe('\\x1b[2J\\x0d\\x9b1m\\x7f');
});

test('line feeds and tabs stay', () => {
  expect(escapeControls('a\tb\nc')).toBe('a\tb\nc');
});

test('whatever the bytes, no control character is left but tab and line feed', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(escapeControls(showBody(bytes))).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
    }),
  );
});
