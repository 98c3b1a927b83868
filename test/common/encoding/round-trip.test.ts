import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { isQueueError } from '../../../src/errors.js';
import { defineQueue, type Queue } from '../../../src/queue.js';

async function refusal(queue: Queue<never, unknown>, value: unknown): Promise<string> {
  try {
    await queue.encode(value as never);
  } catch (error) {
    if (isQueueError(error, 'INVALID_MESSAGE')) return error.message;
    throw error;
  }
  throw new Error('was encoded');
}

describe('a value that would change on its way is refused by send, with its path and a remedy', () => {
  test.each([
    ['a Date', z.object({ at: z.date() }), { at: new Date() }, /at: .*z\.coerce\.date\(\)/],
    ['a Date in an array', z.array(z.date()), [new Date()], /0: .*z\.coerce\.date\(\)/],
    [
      'a Map',
      z.object({ a: z.map(z.string(), z.number()) }),
      { a: new Map() },
      /a: JSON loses a Map; send its/,
    ],
    ['a Set that any schema takes', z.any(), { deep: { tags: new Set() } }, /deep\.tags: JSON loses a Set/],
    ['a URL', z.object({ to: z.instanceof(URL) }), { to: new URL('http://x') }, /to: .*send its href/],
    [
      'bytes',
      z.object({ data: z.instanceof(Uint8Array) }),
      { data: new Uint8Array(2) },
      /data: JSON loses a Uint8Array; .*base64/,
    ],
    ['a Buffer', z.object({ data: z.instanceof(Uint8Array) }), { data: Buffer.alloc(2) }, /data: .*base64/],
    [
      'an undefined item',
      z.array(z.string().optional()),
      ['a', undefined],
      /1: JSON loses an item that is und/,
    ],
    ['an undefined item that any schema takes', z.any(), { list: [undefined] }, /list\.0: .*; send null/],
    // biome-ignore lint/suspicious/noSparseArray: what JSON.parse never gives, programs can make.
    ['a missing item', z.any(), [1, , 3], /1: JSON loses an item that is undefined/],
    [
      'a function that any schema takes',
      z.any(),
      { run: () => {} },
      /run: JSON loses a function; leave it out/,
    ],
    ['a function alone', z.any(), () => {}, /JSON/],
    ['a symbol', z.any(), { deep: [{ kind: Symbol('x') }] }, /deep\.0\.kind: JSON loses a symbol/],
    ['an Error', z.any(), { cause: new TypeError('no') }, /cause: JSON loses a TypeError; send its message/],
    ['search parameters', z.any(), { query: new URLSearchParams('a=1') }, /query: JSON loses a URLSearchP/],
    ['an iterator', z.any(), { keys: new Map().keys() }, /keys: JSON loses/],
    ['a promise', z.any(), { later: Promise.resolve(1) }, /later: JSON loses a Promise/],
    ['NaN', z.any(), { n: Number.NaN }, /n: JSON loses NaN; send null/],
    ['a symbol in an array', z.array(z.any()), [Symbol('x')], /0: JSON loses a symbol/],
    ['a __proto__ of its own', z.any(), JSON.parse('{"a":1,"__proto__":{"b":2}}'), /forbidden prototype/],
  ])('%s', async (_, schema, value, expected) => {
    const queue = defineQueue('a', schema as unknown as z.ZodUnknown) as Queue<never, unknown>;
    const text = await refusal(queue, value);
    expect(text).toMatch(expected);
    expect(text).toContain("a value for 'a'");
  });

  test('whatever the codec', async () => {
    const codec = {
      contentType: 'text/x-length',
      encode: String,
      decode: (body: unknown) => `${body}`.length,
    };
    expect(await refusal(defineQueue('a', z.string(), { codec }), 'abc')).toContain('expected string');
    const broken = { contentType: 'text/x', encode: String, decode: () => JSON.parse('{') };
    expect(await refusal(defineQueue('a', z.string(), { codec: broken }), 'abc')).toContain(
      "can't be sent as text/x",
    );
  });
});

test('a value that passes its schema again is sent', async () => {
  const at = new Date(5);
  const queue = defineQueue(
    'a',
    z.object({
      at: z.coerce.date(),
      note: z.string().optional(),
      score: z.number().nullable(),
      count: z.any(),
      buffer: z.any(),
    }),
  );
  const value = { at, note: undefined, score: null, count: Object(5), buffer: Buffer.from('x') };
  expect(await queue.encode(value)).toMatchObject({ contentType: 'application/json' });
  class Order {
    id = 'A';
    total(): number {
      return 1;
    }
  }
  expect(await defineQueue('a', z.object({ id: z.string() })).encode(new Order())).toEqual({
    contentType: 'application/json',
    body: '{"id":"A"}',
  });
  const inherited = Object.assign(Object.create({ run() {} }), { id: 'A' });
  expect(await defineQueue('a', z.any()).encode(inherited)).toMatchObject({ body: '{"id":"A"}' });
  class Ping {}
  expect(await defineQueue('a', z.any()).encode(new Ping())).toMatchObject({ body: '{}' });
});

test('plain values are not decoded again', () => {
  let decoded = 0;
  const schema = z.unknown().transform((value) => {
    decoded++;
    return value;
  });
  const queue = defineQueue('a', schema);
  queue.encode({ a: [1, 'x', null, { b: true, c: undefined }] });
  expect(decoded).toBe(1);
  queue.encode({ at: new Date() });
  expect(decoded).toBe(3);
});

test('after many good ones a schema and a codec are trusted, but never with what JSON loses', async () => {
  let decoded = 0;
  const codec = {
    contentType: 'text/x',
    encode: String,
    decode: (body: unknown) => {
      decoded++;
      return body;
    },
  };
  const queue = defineQueue('a', z.string(), { codec });
  for (let times = 0; times < 200; times++) queue.encode('x');
  expect(decoded).toBe(100);
  const dates = defineQueue('a', z.any());
  for (let times = 0; times < 200; times++) dates.encode(new Date());
  expect(await refusal(dates, { deep: new Map() })).toContain('deep: JSON loses a Map');
});

describe('with an asynchronous schema', () => {
  const slow = z.object({ total: z.number() }).refine(async ({ total }) => {
    await new Promise((resolve) => setImmediate(resolve));
    return total < 100;
  }, 'is too much');

  test('the value at the time of the call is sent and validated', async () => {
    const queue = defineQueue('a', slow);
    for (let times = 0; times < 2; times++) {
      const value = { total: 1 };
      const encoding = queue.encode(value);
      value.total = 1000;
      expect(await encoding).toMatchObject({ body: '{"total":1}' });
    }
    expect(await refusal(queue, { total: 1000 })).toBe("a value for 'a' fails its schema: is too much");
  });

  test('bytes are copied before it is waited for', async () => {
    const queue = defineQueue(
      'a',
      z.instanceof(Uint8Array).refine(async () => true),
      { codec: 'bytes' },
    );
    const bytes = new Uint8Array([1]);
    const encodings = [queue.encode(bytes)];
    bytes[0] = 2;
    encodings.push(queue.encode(bytes));
    bytes[0] = 3;
    expect((await Promise.all(encodings)).map(({ body }) => [...(body as Uint8Array)])).toEqual([[1], [2]]);
  });

  test('one that throws says so, and keeps the cause', async () => {
    const down = new Error('ECONNREFUSED');
    const schema = z.string().refine(async () => {
      throw down;
    });
    const queue = defineQueue('a', schema);
    for (let times = 0; times < 2; times++) {
      await expect(queue.encode('x')).rejects.toMatchObject({
        code: 'INVALID_MESSAGE',
        cause: down,
        message: "a value for 'a' can't be validated: the schema threw: ECONNREFUSED",
      });
    }
  });
});

test('text with half a surrogate pair is refused', async () => {
  const queue = defineQueue('a', z.string(), { codec: 'text' });
  expect(await refusal(queue, 'n\ud800')).toContain('toWellFormed()');
  expect(await queue.encode('😀')).toMatchObject({ body: '😀' });
  const json = defineQueue('a', z.string());
  const { body } = await json.encode('n\ud800');
  expect(json.decode({ id: '1', contentType: 'application/json', headers: {}, body })).toEqual({
    ok: true,
    value: 'n\ud800',
  });
});
