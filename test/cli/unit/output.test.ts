import fc from 'fast-check';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Output, showBody, toJson } from '../../../src/cli/output.js';
import { escapeControls, onOneLine } from '../../../src/common/reporting/terminal-text.js';

const ESC = '\u001b';

/** Everything that drives a terminal, reorders text, ends a line or can't be seen, but tab and line feed. */
const HARMFUL =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]/u;

/** Texts in which such characters are frequent. */
const hostile = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 0xa0 }).map((code) => String.fromCharCode(code)),
    fc.constantFrom(
      '\u061c',
      '\u200f',
      '\u2028',
      '\u2029',
      '\u202e',
      '\u2066',
      '\u2069',
      '\u200b',
      '\u200c',
      '\u200d',
      '\u2060',
      '\ufeff',
      '\u{e0041}',
      '\r\n',
      'é',
      '世',
      '😀',
    ),
    fc.string({ unit: 'binary' }),
  ),
);
const hostileText = hostile.map((parts) => parts.join(''));

test('text is shown as it is', () => {
  expect(showBody(Buffer.from('Grüße, 世界!'))).toBe('Grüße, 世界!');
  expect(escapeControls('Grüße, 世界! 👨‍👩‍👧')).toBe('Grüße, 世界! 👨‍👩‍👧');
});

test('bytes that are not UTF-8 are shown one by one', () => {
  expect(showBody(Buffer.from([0x41, 0xff, 0x00, 0xe9, 0x7a]))).toBe('A\\xff\\x00\\xe9z');
});

test('control characters are escaped, so that a message can not drive the terminal', () => {
  expect(escapeControls(`${ESC}[2J\r\u009b1m\u007f`)).toBe('\\x1b[2J\\x0d\\x9b1m\\x7f');
});

test('controls of bidirectional text and separators of lines are escaped', () => {
  expect(escapeControls('a\u202eb\u2066c\u200fd\u2028e\u2029f\u061cg')).toBe(
    'a\\u202eb\\u2066c\\u200fd\\u2028e\\u2029f\\u061cg',
  );
});

test('what can not be seen is shown: two ids that look alike are the same', () => {
  expect(escapeControls('o\u200brd\u00ader\u2060-\ufeff1\u3164\u{e0041}\ufe0f')).toBe(
    'o\\u200brd\\xader\\u2060-\\ufeff1\\u3164\\u{e0041}\\ufe0f',
  );
  expect(escapeControls('a\u200db\u200cc\u200d👧')).toBe('a\\u200db\\u200cc\\u200d👧');
  expect(toJson(['a\u200b\u{e0041}'])).toBe('["a\\u200b\\udb40\\udc41"]');
});

test('emojis and words of all scripts keep what joins them', () => {
  for (const text of ['👩‍👩‍👧', '🏳️‍🌈', '👩🏽‍💻', '❤️', '1️⃣', 'می‌خواهم', 'क्‍ष', 'ශ්‍රී']) {
    expect(escapeControls(text)).toBe(text);
  }
});

test('line feeds and tabs are kept in a text, but not in a single line', () => {
  expect(escapeControls('a\tb\nc')).toBe('a\tb\nc');
  expect(onOneLine('first\n  second\r\n\n [!] third\n')).toBe('first second [!] third');
  expect(onOneLine('  [x] a\tb')).toBe('  [x] a\tb');
});

test('whatever the text, nothing harmful is left of it', () => {
  fc.assert(
    fc.property(hostileText, (text) => {
      expect(escapeControls(text)).not.toMatch(HARMFUL);
      expect(onOneLine(text)).not.toMatch(HARMFUL);
      expect(onOneLine(text)).not.toContain('\n');
      // What is escaped already is not escaped again.
      expect(onOneLine(onOneLine(text))).toBe(onOneLine(text));
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(escapeControls(showBody(bytes))).not.toMatch(HARMFUL);
    }),
  );
});

test('JSON says the same to whoever parses it, with nothing harmful in it', () => {
  fc.assert(
    fc.property(hostileText, hostileText, (key, value) => {
      const json = toJson([{ [key]: value }]);
      expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify([{ [key]: value }])));
      expect(json).not.toMatch(HARMFUL);
      expect(json).not.toContain('\n');
    }),
  );
});

test('a long job shows a row that is erased before anything else is written', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const { isTTY, columns } = process.stderr;
  Object.assign(process.stderr, { isTTY: true, columns: 40 });
  const written: string[] = [];
  const write = vi
    .spyOn(process.stderr, 'write')
    .mockImplementation((text) => written.push(String(text)) > 0);
  onTestFinished(() => {
    write.mockRestore();
    Object.assign(process.stderr, { isTTY, columns });
    vi.useRealTimers();
  });
  const work = async (output: Output) =>
    output.during(
      () => `Reading '${ESC}[2J' ${'x'.repeat(100)}`,
      async () => {
        vi.advanceTimersByTime(1000);
        output.error('one stays');
        vi.advanceTimersByTime(1000);
        return 'done';
      },
    );
  expect(await work(new Output({ color: false }))).toBe('done');
  const row = `\r${ESC}[2K [*] Reading '\\x1b[2J' xxxxxxxxxxxxxxx…`;
  const erase = `\r${ESC}[2K`;
  expect(written).toEqual([row, erase, 'millrace: one stays\n', row, erase]);
  written.length = 0;
  for (const flags of [{ quiet: true }, { json: true }]) await work(new Output({ ...flags, color: false }));
  expect(written.join('')).not.toContain(ESC);
});
