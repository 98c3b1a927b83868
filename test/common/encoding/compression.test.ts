import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { decompress } from '../../../src/common/encoding/compression.js';

const MIB = 1024 * 1024;
const tenMib = gzipSync(Buffer.alloc(10 * MIB));

test.each([
  ['a small limit, at once', MIB / 4, false],
  ['a large limit, in the thread pool', 5 * MIB, true],
])('decompression ends where a body gets larger than %s', async (_, maxBytes, isAsync) => {
  for (const [body, encoding] of [
    [tenMib, 'gzip'],
    [gzipSync(tenMib), 'gzip, gzip'],
  ] as const) {
    const result = decompress(body, encoding, maxBytes);
    expect(result instanceof Promise).toBe(isAsync);
    expect((await result).type).toBe('too-large');
  }
});

test('a body as large as the limit is decompressed', async () => {
  const result = await decompress(tenMib, 'gzip', 10 * MIB);
  expect(result).toMatchObject({ type: 'body', body: { length: 10 * MIB } });
});
