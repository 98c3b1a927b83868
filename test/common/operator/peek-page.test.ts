import { expect, test } from 'vitest';
import { MAX_PAGE_BYTES, PageWriter, wholeCharacters } from '../../../src/common/operator/peek-page.js';

const facts = (body: string | Uint8Array) => ({
  message: { id: 'm', contentType: '', headers: {}, body },
  state: 'ready' as const,
  attempt: 1,
  redelivered: false,
  dueAt: undefined,
  holder: undefined,
  heldSince: undefined,
});

const newPage = (limit: number, maxBodyBytes: number) =>
  new PageWriter({ limit, maxBodyBytes, after: undefined });

test('a page ends before the message that would exceed its bytes; a single message is always shown', () => {
  const page = newPage(10, Number.MAX_SAFE_INTEGER);
  expect(page.add([1, 0], facts(Buffer.alloc(MAX_PAGE_BYTES + 1)))).toBe(true);
  expect(page.add([2, 0], facts('x'))).toBe(false);
  const { messages, next } = page.finish(false);
  expect(messages).toHaveLength(1);
  expect(next).toBe('1:0');
});

test('a page ends at its limit, and its bodies are cut between characters', () => {
  const page = newPage(1, 4);
  expect(page.add([1, 0], facts('aüü'))).toBe(true);
  expect(page.add([2, 0], facts('b'))).toBe(false);
  const { messages, next } = page.finish(true);
  expect(messages.map(({ message, bodyBytes }) => [message.body, bodyBytes])).toEqual([['aü', 5]]);
  expect(next).toBeUndefined();
});

test('bytes that were cut within a character are text without it; what is no text stays', () => {
  const text = Buffer.from('aü€😀');
  const shown = Array.from(text, (_, end) => wholeCharacters(text.subarray(0, end)).toString());
  expect(shown).toEqual(['', 'a', 'a', 'aü', 'aü', 'aü', 'aü€', 'aü€', 'aü€', 'aü€']);
  const bytes = Buffer.alloc(10, 0x80);
  expect(wholeCharacters(bytes)).toEqual(bytes);
  for (const end of [[0xff], [0x80], [0xc3, 0x28], [0xc3, 0x80, 0x80], [0xc1]]) {
    const noText = Buffer.from([...Buffer.from('abc'), ...end]);
    expect(wholeCharacters(noText)).toEqual(noText);
  }
});
