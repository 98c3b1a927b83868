import { expect, test } from 'vitest';
import type { HeaderValue, MessageHeaders } from '../../../src/broker.js';
import { compressionsIn } from '../../../src/common/encoding/content-encoding.js';
import {
  checkHeaders,
  copyHeaders,
  headersBytes,
  shareHeaders,
  showHeaders,
} from '../../../src/common/message/headers.js';
import { encodeField } from '../../../src/rabbitmq/wire/header-table.js';

const fault = (where: string, expected: string) => new Error(`${where}: ${expected}`);

const headers: MessageHeaders = {
  text: 'ü',
  number: 5,
  big: 2n ** 60n,
  yes: true,
  nothing: null,
  at: new Date('2026-01-31T12:00:00Z'),
  words: Uint8Array.from(Buffer.from('c0ffee')),
  bytes: Uint8Array.of(0xff, 0xfe),
  list: [1, [new Date(0)]],
  table: { deep: { big: -(2n ** 60n) } },
};

test('headers are shown as JSON can carry them', () => {
  expect(JSON.parse(JSON.stringify(showHeaders(headers)))).toEqual({
    text: 'ü',
    number: 5,
    big: '1152921504606846976',
    yes: true,
    nothing: null,
    at: '2026-01-31T12:00:00.000Z',
    words: 'c0ffee',
    bytes: { base64: '//4=' },
    list: [1, ['1970-01-01T00:00:00.000Z']],
    table: { deep: { big: '-1152921504606846976' } },
  });
});

test('a copy shares nothing that can be changed, and has the form in which headers arrive', () => {
  const bytes = Uint8Array.of(1);
  const at = new Date(1999);
  const copy = copyHeaders({ bytes, at, zero: -0, small: 5n, inner: { list: [bytes] } }, fault);
  bytes[0] = 9;
  at.setTime(0);
  expect(copy).toEqual({
    bytes: Uint8Array.of(1),
    at: new Date(1000),
    zero: 0,
    small: 5,
    inner: { list: [Uint8Array.of(1)] },
  });
  expect(Object.is(copy.zero, 0)).toBe(true);
});

test('text alone is shared, all else is cloned for each reader', () => {
  const text = Object.freeze({ a: 'b' });
  expect(shareHeaders(text)).toBe(text);
  const shared = shareHeaders(headers);
  expect(shared).toEqual(headers);
  expect(shared.list).not.toBe(headers.list);
});

test('an invalid header is named with its path', () => {
  const wrong = { a: [1, { 'b"': () => 5 }] } as unknown as MessageHeaders;
  expect(() => checkHeaders(wrong, fault)).toThrow('headers["a"][1]["b\\""]: text, a number');
  const sparse: HeaderValue[] = [];
  sparse[1] = 5;
  expect(() => copyHeaders({ sparse }, fault)).toThrow('headers["sparse"][0]');
  const circle: HeaderValue[] = [];
  circle.push(circle);
  expect(() => copyHeaders({ circle }, fault)).toThrow('at most 32 levels');
});

test('lists and objects may be nested 32 levels deep, and no deeper', () => {
  const nested = (levels: number) => {
    let value: HeaderValue = 'inside';
    for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { value };
    return { value };
  };
  expect(copyHeaders(nested(32), fault)).toEqual(nested(32));
  expect(() => checkHeaders(nested(32), fault)).not.toThrow();
  expect(() => copyHeaders(nested(33), fault)).toThrow('at most 32 levels');
  expect(() => checkHeaders(nested(33), fault)).toThrow('at most 32 levels');
});

test('the size is at least that of the table on the wire', () => {
  const table = Object.entries(headers).map(([name, value]) => encodeField(name, value).bytes.length);
  expect(headersBytes(headers)).toBeGreaterThanOrEqual(4 + table.reduce((sum, bytes) => sum + bytes));
  expect(headersBytes({ a: 'xyz' })).toBe(4 + encodeField('a', 'xyz').bytes.length);
});

test.each<[string, readonly string[] | undefined]>([
  ['', []],
  ['utf-8', []],
  ['ISO-8859-1', []],
  ['windows-1252', []],
  ['8bit', []],
  ['gzip', ['gzip']],
  ['X-GZIP', ['gzip']],
  ['gzip:UTF-8', ['gzip']],
  ['deflate, br', ['deflate', 'br']],
  ['zstd;charset=utf-8', ['zstd']],
  ['base64', undefined],
  ['gzip, lz4', undefined],
  ['gzip, gzip, gzip, gzip', undefined],
])('the encoding %j means %j', (label, expected) => {
  expect(compressionsIn(label)).toEqual(expected);
});
