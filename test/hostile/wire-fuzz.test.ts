/**
 * Frames that were damaged at random, read by millrace and by amqplib's codec. FUZZ_RUNS says how many; a run that failed
 * prints its seed, which FUZZ_SEED repeats.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DeliveryFrames } from '../../src/rabbitmq/wire/delivery-reader.js';
import { MalformedFrame } from '../../src/rabbitmq/wire/header-table.js';
import { definitions, frames, methodId } from '../support/amqplib-codec.js';

const { FUZZ_RUNS = '4000', FUZZ_SEED } = process.env;
const parameters = {
  numRuns: Number(FUZZ_RUNS),
  ...(FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) }),
};

const text = fc.string({ unit: 'binary', maxLength: 20 });
const delivery = fc.record({
  fields: fc.record({
    consumerTag: text,
    deliveryTag: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    redelivered: fc.boolean(),
    exchange: text,
    routingKey: text,
  }),
  properties: fc.record(
    {
      contentType: text,
      headers: fc.dictionary(text, fc.oneof(text, fc.boolean(), fc.integer(), fc.dictionary(text, text))),
      priority: fc.integer({ min: 0, max: 255 }),
      correlationId: text,
      messageId: text,
      timestamp: fc.integer({ min: 0, max: 2 ** 40 }),
    },
    { requiredKeys: [] },
  ),
  content: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
});
/** Where, in parts of the whole, and what is done there. */
const damage = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  kind: fc.constantFrom('set', 'set', 'flip', 'flip', 'insert', 'remove'),
  value: fc.oneof(fc.constantFrom(0, 1, 127, 128, 255), fc.integer({ min: 0, max: 255 })),
});

type Delivery = typeof delivery extends fc.Arbitrary<infer T> ? T : never;
type Damage = typeof damage extends fc.Arbitrary<infer T> ? T : never;

function framesOf({ fields, properties, content }: Delivery): Buffer {
  return Buffer.concat([
    definitions.encodeMethod(methodId('BasicDeliver'), 1, fields),
    definitions.encodeProperties(methodId('BasicProperties'), 1, content.length, properties),
    ...(content.length === 0 ? [] : [frames.makeBodyFrame(1, content)]),
  ]);
}

function damaged(bytes: Buffer, damages: readonly Damage[]): Buffer {
  let all = [...bytes];
  for (const { at, kind, value } of damages) {
    const index = Math.floor(at * all.length);
    if (kind === 'set') all[index] = value;
    if (kind === 'flip') all[index] = (all[index] ?? 0) ^ (1 << (value % 8));
    if (kind === 'insert') all = all.toSpliced(index, 0, value);
    if (kind === 'remove') all = all.toSpliced(index, 1);
  }
  return Buffer.from(all);
}

/** By amqplib; undefined where it refuses it, or it is not all there. */
function readByAmqplib(bytes: Buffer) {
  try {
    const method = frames.parseFrame(bytes);
    const header = method && frames.parseFrame(method.rest);
    if (!method || !header) return undefined;
    const { fields } = frames.decodeFrame(method);
    const { fields: properties, size = 0 } = frames.decodeFrame(header);
    const body = size === 0 ? undefined : frames.parseFrame(header.rest);
    if (body === false) return undefined;
    return { fields, properties, content: body?.payload ?? Buffer.alloc(0) };
  } catch {
    return undefined;
  }
}

test('a damaged delivery is refused, or read as amqplib reads it, and nothing of the next one gets into it', () => {
  let read = 0;
  fc.assert(
    fc.property(
      delivery,
      delivery,
      fc.array(damage, { minLength: 1, maxLength: 2 }),
      (first, next, damages) => {
        const bytes = Buffer.concat([damaged(framesOf(first), damages), framesOf(next)]);
        const reader = new DeliveryFrames();
        if (!reader.isDelivery(bytes, 0)) return;
        let ours: ReturnType<DeliveryFrames['read']>;
        try {
          ours = reader.read(bytes, 0);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedFrame);
          return;
        }
        if (ours === undefined) return;
        expect(reader.end).toBeLessThanOrEqual(bytes.length);
        const theirs = readByAmqplib(bytes);
        // What amqplib refuses within the headers is kept as it came, and read with care later on.
        if (theirs === undefined) return;
        read++;
        const { consumerTag, redelivered, exchange, routingKey } = ours.fields;
        expect(theirs.fields).toMatchObject({ consumerTag, redelivered, exchange, routingKey });
        expect(ours.content.equals(theirs.content)).toBe(true);
        const { contentType, correlationId, messageId, priority } = ours.properties;
        expect({ contentType, correlationId, messageId, priority }).toEqual({
          contentType: theirs.properties?.contentType,
          correlationId: theirs.properties?.correlationId,
          messageId: theirs.properties?.messageId,
          priority: theirs.properties?.priority,
        });
      },
    ),
    parameters,
  );
  // Much of the damage is within texts and bodies.
  expect(read).toBeGreaterThan(parameters.numRuns / 20);
});
