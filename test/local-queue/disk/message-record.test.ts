import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message } from '../../../src/broker.js';
import { decodeRecord, encodeRecord, RecordWriter } from '../../../src/local-queue/disk/message-record.js';

const text = fc.string({ unit: 'grapheme' });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const anyMessage: fc.Arbitrary<Message> = fc.record({
  id: text,
  contentType: text,
  headers: fc.dictionary(text, text, { noNullPrototype: true }),
  body: fc.oneof(text, fc.uint8Array({ maxLength: 5000 })),
  timestamp: optional(fc.double({ noNaN: true })),
  priority: optional(fc.integer({ min: 0, max: 31 })),
  correlationId: optional(text),
  replyTo: optional(text),
});

test('a message comes out of its record as it went in', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      expect(decodeRecord(Buffer.from(encodeRecord(message)))).toEqual(message);
    }),
  );
});

test('records written one after the other stay apart', () => {
  fc.assert(
    fc.property(
      fc.array(anyMessage, { maxLength: 20 }),
      fc.integer({ min: 1, max: 10_000 }),
      (messages, room) => {
        const writer = new RecordWriter(room);
        let start = 0;
        const records = messages.map((message) => {
          writer.append(message);
          const record = [start, writer.length] as const;
          start = writer.length;
          return record;
        });
        expect(records.map(([from, to]) => decodeRecord(writer.bytes.subarray(from, to)))).toEqual(messages);
      },
    ),
  );
});

test('bytes that are no record are an error, whatever they are', () => {
  const damage = fc.tuple(anyMessage, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat());
  fc.assert(
    fc.property(damage, ([message, at, value, length]) => {
      const record = Buffer.from(encodeRecord(message));
      record[at % record.length] = value;
      const damaged = record.subarray(0, length % (record.length + 1));
      try {
        const { id, headers, body } = decodeRecord(damaged);
        expect([typeof id, typeof headers, body.length <= damaged.length]).toEqual([
          'string',
          'object',
          true,
        ]);
      } catch (error) {
        expect(error).toSatisfy((e) => e instanceof TypeError || e instanceof SyntaxError);
      }
    }),
  );
});

test('the body of a decoded message shares no memory with the record', () => {
  const record = Buffer.from(
    encodeRecord({ id: 'a', contentType: '', headers: {}, body: Buffer.from('grain') }),
  );
  const { body } = decodeRecord(record);
  record.fill(0);
  expect(Buffer.from(body).toString()).toBe('grain');
});
