import { expect, test } from 'vitest';
import type { Message, MessageHeaders } from '../../../src/broker.js';
import {
  headersText,
  parseHeaders,
  parseProperties,
  propertiesText,
} from '../../../src/local-queue/disk/message-json.js';

test('headers are JSON that SQLite can query, with a tag for what JSON has no form for', () => {
  const headers: MessageHeaders = {
    text: 'blue',
    number: 0.5,
    at: new Date('2026-01-31T12:00:00Z'),
    big: -(2n ** 63n),
    bytes: Uint8Array.of(0xde, 0xad),
    list: [null, { deep: 2n ** 62n }],
    odd: { $date: 'no date' },
    odder: { $table: { $int64: '5' } },
    plain: { $date: 1, other: 2 },
  };
  const text = headersText(headers) ?? '';
  expect(JSON.parse(text)).toEqual({
    text: 'blue',
    number: 0.5,
    at: { $date: '2026-01-31T12:00:00.000Z' },
    big: { $int64: '-9223372036854775808' },
    bytes: { $bytes: '3q0=' },
    list: [null, { deep: { $int64: '4611686018427387904' } }],
    odd: { $table: { $date: 'no date' } },
    odder: { $table: { $table: { $table: { $int64: '5' } } } },
    plain: { $date: 1, other: 2 },
  });
  expect(parseHeaders(text)).toEqual(headers);
});

test('no headers and no rare properties are null', () => {
  expect(headersText({})).toBeNull();
  expect(parseHeaders(null)).toEqual({});
  const message: Message = { id: 'm', contentType: '', headers: {}, body: '' };
  expect(propertiesText(message)).toBeNull();
  expect(propertiesText({ ...message, persistent: true, priority: 5 })).toBeNull();
});

test('rare properties survive', () => {
  const rare = {
    correlationId: 'c',
    replyTo: 'r',
    type: 't',
    appId: '',
    userId: 'u',
    contentEncoding: 'gzip',
    persistent: false,
    origin: { exchange: 'shop', routingKey: 'order.placed' },
  };
  const message: Message = { id: 'm', contentType: '', headers: {}, body: '', ...rare };
  expect(parseProperties(propertiesText(message))).toEqual(rare);
});

test.each([
  '5',
  '[]',
  '"x"',
  '{',
  '{"a":{"$date":"never"}}',
  '{"a":{"$int64":5}}',
  '{"a":{"$unknown":1}}',
  '{"a":{"$int64":"x"}}',
])('headers that somebody else wrote are unreadable: %s', (text) => {
  expect(() => parseHeaders(text)).toThrow();
});

test.each(['5', '[]', '{"type":5}', '{"origin":{"exchange":5}}', '{"origin":"x"}', '{'])(
  'properties that somebody else wrote are unreadable: %s',
  (text) => {
    expect(() => parseProperties(text)).toThrow();
  },
);
