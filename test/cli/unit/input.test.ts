import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lines, wholeBody } from '../../../src/cli/input.js';

async function* chunksOf(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let start = 0;
  for (let index = 0; start < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? bytes.length;
    yield bytes.subarray(start, start + size);
    start += size;
  }
}

async function linesOf(text: string, sizes: readonly number[] = [1000], maxBytes = 1000): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines(chunksOf(Buffer.from(text), sizes), maxBytes)) {
    all.push(Buffer.from(line).toString());
  }
  return all;
}

test('each line is a body, without its line end', async () => {
  expect(await linesOf('one\ntwo\n')).toEqual(['one', 'two']);
  expect(await linesOf('one\r\ntwo\r\n')).toEqual(['one', 'two']);
});

test('a last line without a line end counts', async () => {
  expect(await linesOf('one\ntwo')).toEqual(['one', 'two']);
});

test('empty lines are empty bodies, and an empty input has no line', async () => {
  expect(await linesOf('\n\none\n\n')).toEqual(['', '', 'one', '']);
  expect(await linesOf('')).toEqual([]);
});

test('a carriage return within a line stays', async () => {
  expect(await linesOf('a\rb\n\r\r\n')).toEqual(['a\rb', '\r']);
});

test('bytes that are no UTF-8 come through as they are', async () => {
  const bytes = Buffer.from([0xff, 0x0a, 0xc3, 0x28]);
  const all: Uint8Array[] = [];
  for await (const line of lines(chunksOf(bytes, [3]), 10)) all.push(line);
  expect(all.map((line) => [...line])).toEqual([[0xff], [0xc3, 0x28]]);
});

test('lines do not depend on how the input is cut into chunks', async () => {
  const text = fc.array(fc.constantFrom('a', 'é', '\n', '\r', '\r\n', ''), { maxLength: 30 });
  const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(text, sizes, async (parts, chunkSizes) => {
      const whole = parts.join('');
      const expected = whole.split('\n');
      if (expected.at(-1) === '') expected.pop();
      expect(await linesOf(whole, chunkSizes)).toEqual(expected.map((line) => line.replace(/\r$/, '')));
    }),
  );
});

test('a line that is too long ends the input before it fills the memory', async () => {
  let pulled = 0;
  async function* endless() {
    yield Buffer.from('short\n');
    while (true) {
      pulled++;
      yield Buffer.alloc(100, 'x');
    }
  }
  const all: string[] = [];
  const reading = (async () => {
    for await (const line of lines(endless(), 1000)) all.push(Buffer.from(line).toString());
  })();
  await expect(reading).rejects.toMatchObject({
    code: 'TOO_LARGE',
    message: expect.stringContaining('line 2'),
  });
  expect(all).toEqual(['short']);
  expect(pulled).toBeLessThan(20);
});

test('the whole input is one body, line ends and all', async () => {
  const body = await wholeBody(chunksOf(Buffer.from('one\ntwo\n'), [3]), 8);
  expect(Buffer.from(body).toString()).toBe('one\ntwo\n');
});

test('an input over the limit is refused without reading on', async () => {
  const chunks = chunksOf(Buffer.alloc(1000), [5]);
  await expect(wholeBody(chunks, 8)).rejects.toMatchObject({ code: 'TOO_LARGE' });
  expect(await chunks.next()).toEqual({ done: true, value: undefined });
});
