/**
 * Frames that were damaged at random, read by millrace and by amqplib's codec, and random messages, written by millrace and
 * read by that codec. FUZZ_RUNS says how many; a run that failed prints its seed, which FUZZ_SEED repeats.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { WireMessage } from '../../src/rabbitmq/wire/amqp-message.js';
import { encodeTable } from '../../src/rabbitmq/wire/amqplib-message.js';
import { DeliveryFrames } from '../../src/rabbitmq/wire/delivery-frames.js';
import { asShortString } from '../../src/rabbitmq/wire/frames.js';
import { roomForPublish, writePublish } from '../../src/rabbitmq/wire/publish-frames.js';
import { MalformedFrame } from '../../src/rabbitmq/wire/table-values.js';
import { definitions, frames, methodId } from '../support/amqplib-codec.js';

const { FUZZ_RUNS = '4000', FUZZ_SEED } = process.env;
const parameters = {
  numRuns: Number(FUZZ_RUNS),
  ...(FUZZ_SEED === undefined ? {} : { seed: Number(FUZZ_SEED) }),
};

const text = fc.string({ unit: 'binary', maxLength: 20 });
/** Of a header. `!` is amqplib's own notation for typed values, and `__proto__` it loses. */
const name = text.filter((each) => each !== '!' && each !== '__proto__');
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
      headers: fc.dictionary(name, fc.oneof(text, fc.boolean(), fc.integer(), fc.dictionary(name, text))),
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

/** Texts that are no UTF-8 are cut, so that they can be written again. */
function fitting(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const cut = (value: unknown) => (typeof value === 'string' ? asShortString(value) : value);
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, cut(value)]));
}

const timeout = 120_000 + 10 * parameters.numRuns;

test('a damaged delivery is refused, or read as amqplib reads it, and nothing of the next one gets into it', {
  timeout,
}, () => {
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
        expect(fitting(theirs.fields ?? {})).toMatchObject({
          consumerTag,
          redelivered,
          exchange,
          routingKey,
        });
        expect(ours.content.equals(theirs.content)).toBe(true);
        const { contentType, correlationId, messageId, priority } = ours.properties;
        const properties = fitting(theirs.properties ?? {});
        expect({ contentType, correlationId, messageId, priority }).toEqual({
          contentType: properties.contentType,
          correlationId: properties.correlationId,
          messageId: properties.messageId,
          priority: properties.priority,
        });
      },
    ),
    parameters,
  );
  // Much of the damage is within texts and bodies: with properties of all types, in one of 18 deliveries.
  expect(read).toBeGreaterThan(parameters.numRuns / 25);
});

const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const typed = fc.oneof(text, fc.boolean(), fc.integer(), fc.array(text), fc.dictionary(name, fc.integer()));
const publish = fc.record({
  exchange: text,
  routingKey: text,
  id: text,
  content: fc.oneof(
    fc.string({ unit: 'binary', maxLength: 3000, size: 'max' }),
    fc.uint8Array({ maxLength: 12_000, size: 'max' }).map((bytes) => Buffer.from(bytes)),
  ),
  mandatory: fc.boolean(),
  contentType: some(text),
  contentEncoding: some(text),
  timestamp: some(fc.maxSafeNat()),
  priority: some(fc.integer({ min: 0, max: 255 })),
  correlationId: some(text),
  replyTo: some(text),
  type: some(text),
  appId: some(text),
  /** Headers that were received, of any type, and others that are added as text. */
  received: fc.dictionary(name, typed, { maxKeys: 5 }),
  added: fc.dictionary(name, text, { maxKeys: 5 }),
});

function publishedMessage(parts: typeof publish extends fc.Arbitrary<infer T> ? T : never): WireMessage {
  const { exchange, routingKey, id, content, received, added, ...options } = parts;
  const carried = [...encodeTable(received).table.fields()].filter(
    (field) => !Object.hasOwn(added, field.name),
  );
  return {
    exchange,
    routingKey,
    id,
    content,
    carried,
    options: { ...options, persistent: true, messageId: id, headers: added },
  };
}

/** All frames, by amqplib. Throws where there is anything else. */
function framesIn(bytes: Buffer) {
  const all = [];
  for (let rest = bytes; rest.length > 0; ) {
    const frame = frames.parseFrame(rest);
    if (frame === false) throw new Error('the last frame is cut off');
    all.push(frame);
    rest = frame.rest;
  }
  return all;
}

test('a message is read by amqplib as it was written, in frames of the size that was agreed on', {
  timeout,
}, () => {
  fc.assert(
    fc.property(publish, fc.constantFrom(4096, 5001, 131_072), fc.nat({ max: 20 }), (parts, frameMax, at) => {
      const message = publishedMessage(parts);
      const block = Buffer.alloc(at + roomForPublish(message, frameMax));
      const end = writePublish(block, at, message, { channel: 7, frameMax });
      expect(end).toBeLessThanOrEqual(block.length);
      const all = framesIn(block.subarray(at, end));
      for (const { channel, payload } of all) {
        expect(channel).toBe(7);
        expect(payload.length + 8).toBeLessThanOrEqual(frameMax);
      }
      const [method, header, ...bodies] = all;
      if (method === undefined || header === undefined) throw new Error('a publish has two frames at least');
      const { exchange, routingKey, content, received, added, id, mandatory, ...properties } = parts;
      const { id: kind = 0, fields } = frames.decodeFrame(method);
      expect(definitions.info(kind).name).toBe('BasicPublish');
      expect(fields).toMatchObject({ exchange, routingKey, mandatory, immediate: false });
      const { fields: read, size } = frames.decodeFrame(header);
      expect(read).toEqual({
        ...properties,
        messageId: id,
        deliveryMode: 2,
        headers: { ...received, ...added },
      });
      const body = Buffer.concat(bodies.map(({ payload }) => payload));
      expect(body.equals(Buffer.from(content as string))).toBe(true);
      expect(size).toBe(body.length);
    }),
    // Each of these has some kilobytes.
    { ...parameters, numRuns: Math.ceil(parameters.numRuns / 4) },
  );
});
