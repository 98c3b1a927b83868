import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Codec, codecFor, codecs } from '../../../src/common/encoding/codec.js';
import { isQueueError } from '../../../src/errors.js';
import { defineQueue } from '../../../src/queue.js';

const { structured } = codecs;
const utf8 = (text: string) => new TextEncoder().encode(text);

const sent = (value: unknown) => expect(structured.decode(structured.encode(value)));

describe('the structured codec', () => {
  test('is JSON with tags, which people can read', () => {
    const at = new Date('2026-12-01T03:00:00.000Z');
    const value = { at, tags: new Set(['a']), sums: new Map([['x', 5n]]), raw: Buffer.from('hi'), plain: 1 };
    expect(structured.encode(value)).toBe(
      '{"at":{"$date":"2026-12-01T03:00:00.000Z"},"tags":{"$set":["a"]},"sums":{"$map":[["x",{"$bigint":"5"}]]},"raw":{"$bytes":"aGk="},"plain":1}',
    );
    expect(structured.encode([undefined, Number.NaN, -0])).toBe(
      '[{"$undefined":true},{"$number":"NaN"},{"$number":"-0"}]',
    );
    expect(structured.contentType).toBe('application/vnd.millrace.structured.v1+json');
  });

  test('gives back every value that it takes, from text and from bytes', () => {
    const key = fc.oneof(
      fc.constantFrom('$', '$date', '$map', '$object', '$undefined', 'constructor', 'toJSON'),
      fc.string(),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom(undefined, null, true, Number.NaN, -0, Number.NEGATIVE_INFINITY),
        fc.oneof(fc.double(), fc.bigInt(), fc.string({ unit: 'binary' })),
        fc.date({ noInvalidDate: true }),
        fc.uint8Array(),
        fc.array(tie('value'), { maxLength: 4 }),
        fc.array(tie('value'), { maxLength: 4 }).map((items) => new Set(items)),
        fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
        fc.dictionary(
          key.filter((name) => name !== '__proto__'),
          tie('value'),
          { noNullPrototype: true, maxKeys: 4 },
        ),
      ),
    }));
    fc.assert(
      fc.property(value, (given) => {
        const body = structured.encode(given) as string;
        // Vitest takes a key `constructor` for a type.
        expect(isDeepStrictEqual(structured.decode(body), given)).toBe(true);
        expect(isDeepStrictEqual(structured.decode(utf8(body)), given)).toBe(true);
      }),
    );
  });

  test('objects that look like its tags are objects', () => {
    for (const value of [{ $date: 'x' }, { $object: { $date: 1 } }, { a: { $undefined: true } }, { $: 1 }]) {
      sent(value).toStrictEqual(value);
    }
  });

  test('leaves the given value as it was, and writes what it holds at the time', () => {
    const value = { list: [1, undefined], at: new Date(0), own: { n: 1n } };
    const copy = structuredClone(value);
    structured.encode(value);
    expect(value).toStrictEqual(copy);
    class Order {
      id = 'A';
      at = new Date(0);
      #secret = 1;
      secret(): number {
        return this.#secret;
      }
    }
    sent(new Order()).toStrictEqual({ id: 'A', at: new Date(0) });
    sent({ to: new URL('http://x/') }).toStrictEqual({ to: 'http://x/' });
    sent([Object(1), Object('x')]).toStrictEqual([1, 'x']);
  });

  const cycle: { self?: object } = {};
  cycle.self = cycle;
  test.each([
    ['a function', { deep: [{ run: () => {} }] }, 'deep.0.run: '],
    ['a symbol', [Symbol('x')], '0: '],
    ['a symbol in a Map', new Map([['k', Symbol('x')]]), '0.1: '],
    ['an Error', { cause: new TypeError('no') }, 'cause: '],
    ['a RegExp', { match: /x/ }, 'match: '],
    ['a promise', { later: Promise.resolve() }, 'later: '],
    ['an ArrayBuffer', { raw: new ArrayBuffer(2) }, 'raw: '],
    ['other arrays of numbers', { raw: new Float64Array(2) }, 'raw: '],
    ['an invalid Date', { at: new Date(Number.NaN) }, 'at: '],
    ['a cycle', cycle, 'self.self.self: '],
    ['a __proto__ of its own', JSON.parse('{"a":{"__proto__":1}}'), 'a.__proto__: '],
    ['a bigint without end', { n: 10n ** 20_000n }, 'n: '],
  ])('refuses %s, and names its path', (_what, value, path) => {
    expect(() => structured.encode(value)).toThrow(new RegExp(`^${path.replaceAll('.', '\\.')}the codec`));
  });

  test.each([
    '',
    '{',
    '{"$date":5}',
    '{"$date":"yesterday"}',
    '{"$date":"2026-12-01"}',
    '{"$map":{}}',
    '{"$map":[["k"]]}',
    '{"$map":[[1,1],[1,2]]}',
    '{"$set":"abc"}',
    '{"$set":[1,1]}',
    '{"$bytes":"not base64!"}',
    '{"$bytes":[1,2]}',
    '{"$bigint":"0x10"}',
    '{"$bigint":1}',
    `{"$bigint":"${'9'.repeat(500_000)}"}`,
    '{"$number":"toString"}',
    '{"$number":1}',
    '{"$undefined":false}',
    '{"$object":[]}',
    '{"$function":"() => process.exit()"}',
    '{ "\\u0024regexp": "(a+)+$" }',
    '{"__proto__":{"admin":true}}',
    '{"$object":{"__proto__":{"admin":true}}}',
    `${'['.repeat(100_000)}"$"${']'.repeat(100_000)}`,
    `${'{"$set":['.repeat(50_000)}${']}'.repeat(50_000)}`,
  ])('refuses what is no such body: %#', (body) => {
    expect(() => structured.decode(body)).toThrow(/./);
    expect(() => structured.decode(utf8(body))).toThrow(/./);
    expect({}).not.toHaveProperty('admin');
  });

  test('whatever the bytes, decoding gives a value or throws an Error', () => {
    const piece = fc.constantFrom('{"$', 'date', 'map', 'set', 'bytes":', '"', '[', ']', '}', ',', '1', '\\');
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(piece, { maxLength: 40 }).map((pieces) => utf8(pieces.join(''))),
    );
    fc.assert(
      fc.property(body, (bytes) => {
        try {
          structured.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('decodes messages that are labelled so for any queue, and refuses later forms', () => {
    expect(codecFor(structured.contentType, codecs.json)).toBe(structured);
    const later = codecFor('application/vnd.millrace.structured.v2+json', structured);
    expect(() => later.decode('{}')).toThrow('a later version of millrace');
  });

  test('is what a queue refuses values by: with the path, and before anything is sent', async () => {
    const queue = defineQueue('a', z.any(), { codec: 'structured' });
    const refused = (codec: 'json' | 'structured' | Codec, value: unknown) => {
      try {
        defineQueue('a', z.any(), { codec }).encode(value);
      } catch (error) {
        if (isQueueError(error, 'INVALID_MESSAGE')) return error.message;
      }
      return undefined;
    };
    expect(await queue.encode({ at: new Date(0) })).toMatchObject({ contentType: structured.contentType });
    expect(refused('structured', { run: [() => {}] })).toBe(
      "a value for 'a' can't be encoded: run.0: the codec 'structured' can't carry a function; leave it out, or convert it",
    );
    expect(refused('json', { list: [{ sum: 5n }] })).toBe(
      "a value for 'a' can't be encoded: list.0.sum: JSON has no bigint; send it as text, or use codec: 'structured'",
    );
  });
});
