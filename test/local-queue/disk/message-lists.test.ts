import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message } from '../../../src/broker.js';
import { BodyReader, MessageWriter, messageAt } from '../../../src/local-queue/disk/message-lists.js';

const messages = fc.array(
  fc.record({
    id: fc.constantFrom('a', 'b'),
    contentType: fc.constant('text/plain'),
    headers: fc.constantFrom<Message['headers']>({}, { name: 'x' }, { name: 'y' }),
    body: fc.oneof(fc.string(), fc.uint8Array({ maxLength: 5 })),
    type: fc.constantFrom(undefined, 'placed', 'cancelled'),
    expiresAt: fc.constantFrom(undefined, 1_900_000_000_000),
  }),
  { maxLength: 12 },
);

function propertiesOf({ id, contentType, headers, body, type, expiresAt }: Message) {
  return { id, contentType, headers: { ...headers }, body, type, expiresAt };
}

test('messages arrive in the other thread as they are, in whatever order they share properties', () => {
  fc.assert(
    fc.property(messages, (sent) => {
      const writer = new MessageWriter();
      for (const message of sent) writer.append(message);
      const lists = structuredClone(writer.finish());
      const bodies = new BodyReader(lists);
      const received = sent.map((_, index) => messageAt(lists, index, bodies.next()));
      expect(received.map((message) => propertiesOf(message))).toEqual(sent.map(propertiesOf));
    }),
  );
});

test('properties that a run of messages shares cross once', () => {
  const writer = new MessageWriter();
  for (let number = 0; number < 10; number++)
    writer.append({ id: String(number), contentType: 'text/plain', headers: {}, body: 'x', type: 'placed' });
  const { extras, extrasFrom } = writer.finish();
  expect([extras.length, extrasFrom]).toEqual([1, [0]]);
});
