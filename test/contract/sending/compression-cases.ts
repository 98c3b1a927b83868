import zlib from 'node:zlib';
import { expect } from 'vitest';
import { z } from 'zod';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { createRequester } from '../../../src/producer/requester.js';
import type { Queue } from '../../../src/queue.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';
import { addressOf, type ContractContext, message } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const long = 'compressible '.repeat(200);
const json = JSON.stringify(long);
const { zstdCompressSync } = zlib as { zstdCompressSync?(text: string): Buffer };

const compressed: readonly (readonly [contentEncoding: string, body: Uint8Array])[] = [
  ['gzip', zlib.gzipSync(json)],
  ['GZIP', zlib.gzipSync(json)],
  ['x-gzip', zlib.gzipSync(json)],
  ['gzip:UTF-8', zlib.gzipSync(json)],
  ['deflate', zlib.deflateSync(json)],
  ['deflate', zlib.deflateRawSync(json)],
  ['br', zlib.brotliCompressSync(json)],
  ['deflate, gzip', zlib.gzipSync(zlib.deflateSync(json))],
  ...(zstdCompressSync === undefined ? [] : [['zstd', zstdCompressSync(json)] as const]),
];

async function publish(
  t: ContractContext,
  queue: Queue<never, unknown>,
  contentEncoding: string,
  body: Uint8Array,
) {
  await t.broker.declare(queue.spec);
  const parts = { contentType: 'application/json', contentEncoding, body };
  await t.broker.publish(addressOf(queue.name), message(parts));
}

async function handledBy(
  t: ContractContext,
  queue: Queue<never, unknown>,
  count: number,
): Promise<unknown[]> {
  const values: unknown[] = [];
  const consumer = createConsumer(t.broker, queue, (value) => void values.push(value));
  await consumer.start();
  await eventually(() => consumer.counts.handled + consumer.counts.deadLettered === count);
  await consumer.stop();
  return values;
}

/** Bodies that are compressed, by the toolkit or by others. */
export const compressionCases: Cases = {
  'bodies that others compressed are decompressed, in their order': async (t) => {
    const queue = t.define(z.string());
    for (const [contentEncoding, body] of compressed) await publish(t, queue, contentEncoding, body);
    expect(await handledBy(t, queue, compressed.length)).toEqual(compressed.map(() => long));
  },

  'labels that say nothing of a compression are no obstacle': async (t) => {
    const queue = t.define(z.number());
    const labels = [
      '',
      'identity',
      'binary',
      '8bit',
      '7bit',
      'us-ascii',
      'utf-8',
      'UTF8',
      'ISO-8859-1',
      'none',
    ];
    for (const label of labels) await publish(t, queue, label, Buffer.from('5'));
    expect(await handledBy(t, queue, labels.length)).toEqual(labels.map(() => 5));
  },

  'an unknown encoding is passed to the codec': async (t) => {
    const told: unknown[] = [];
    const codec = {
      contentType: 'application/json',
      encode: JSON.stringify,
      decode: (body: Uint8Array | string, labels?: unknown) => {
        told.push(labels);
        return Buffer.from(body).toString().length;
      },
      ignoresContentType: true,
    };
    const queue = t.define(z.number(), { codec });
    await publish(t, queue, 'rot13', Buffer.from('12345'));
    expect(await handledBy(t, queue, 1)).toEqual([5]);
    expect(told).toEqual([{ contentType: 'application/json', contentEncoding: 'rot13' }]);
  },

  'a body that is small until it is decompressed is a dead letter, as it came': async (t) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(z.string());
    const bomb = zlib.gzipSync(`"${'x'.repeat(t.broker.maxMessageBytes)}"`);
    await publish(t, queue, 'gzip', bomb);
    const twice = zlib.gzipSync(zlib.gzipSync(`"${'x'.repeat(40 * t.broker.maxMessageBytes)}"`));
    await publish(t, queue, 'gzip, gzip', twice);
    expect(await handledBy(t, queue, 2)).toEqual([]);
    const inbox = await t.inbox(`${queue.name}.dead`);
    for (const body of [bomb, twice]) {
      const { message: dead } = await inbox.next();
      expect(deadLetterHistory(dead.headers)).toMatchObject({ reason: 'too-large' });
      expect(Buffer.from(dead.body).equals(body)).toBe(true);
    }
  },

  'a body that is not what its label says is a dead letter, as it came': async (t) => {
    recordWarnings('MILLRACE_DEAD_LETTER');
    const queue = t.define(z.string());
    const whole = zlib.gzipSync(json);
    const bodies = [Buffer.from('no gzip'), whole.subarray(0, whole.length - 9), Buffer.alloc(0)];
    for (const body of bodies) await publish(t, queue, 'gzip', body);
    expect(await handledBy(t, queue, bodies.length)).toEqual([]);
    const inbox = await t.inbox(`${queue.name}.dead`);
    for (const body of bodies) {
      const { message: dead } = await inbox.next();
      expect(deadLetterHistory(dead.headers)).toMatchObject({ reason: 'undecodable' });
      expect(Buffer.from(dead.body).equals(body)).toBe(true);
    }
  },

  'large bodies that are decompressed keep their order among small ones': async (t) => {
    const queue = t.define(z.string());
    const noise = Array.from({ length: 30_000 }, (_, index) =>
      String.fromCharCode(33 + ((index * index * 7) % 90)),
    );
    const large = `large ${noise.join('')}`;
    const expected: string[] = [];
    for (let index = 0; index < 6; index++) {
      const text = index % 2 === 0 ? large : `small ${index}`;
      expected.push(text);
      await publish(t, queue, 'br', zlib.brotliCompressSync(JSON.stringify(text)));
    }
    expect(await handledBy(t, queue, 6)).toEqual(expected);
  },

  'a queue compresses what is sent, where that makes it smaller, unless a send says otherwise': async (t) => {
    const queue = t.define(z.string(), { compress: 'gzip' });
    const producer = createProducer(t.broker, queue);
    await producer.send(long);
    await producer.send('short');
    await producer.send(long, { compress: false });
    await producer.send(long, { compress: 'br' });
    await producer.sendMany([long], { compress: 'deflate' });
    const inbox = await t.inbox(queue.name);
    const deliveries = await inbox.take(5);
    const encodings = deliveries.map(({ message: { contentEncoding } }) => contentEncoding);
    expect(encodings).toEqual(['gzip', undefined, undefined, 'br', 'deflate']);
    const [first] = deliveries;
    expect(Buffer.from(first?.message.body ?? '').byteLength).toBeLessThan(json.length / 5);
    // Closing returns what is unsettled, in its order. What is released before would be delivered to this inbox again.
    await inbox.subscription.close();
    expect(await handledBy(t, queue, 5)).toEqual([long, 'short', long, long, long]);
  },

  'a value that no receiver would decompress is TOO_LARGE': async (t) => {
    const queue = t.define(z.string(), { compress: 'gzip' });
    const producer = createProducer(t.broker, queue);
    await rejection(producer.send('x'.repeat(t.broker.maxMessageBytes + 1)), 'TOO_LARGE');
    const most = 'x'.repeat(t.broker.maxMessageBytes - 2);
    await producer.send(most);
    expect(await handledBy(t, queue, 1)).toEqual([most]);
  },

  'a request is compressed as its queue says': async (t) => {
    const queue = t.define(z.string(), { compress: 'gzip', deadLetter: false });
    const consumer = createConsumer(t.broker, queue, (text) => text.length, { retry: { delaysMs: [] } });
    await consumer.start();
    await using requester = createRequester(t.broker, queue, { reply: z.number() });
    expect(await requester.request(long)).toBe(long.length);
    await consumer.stop();
  },

  'compress and contentEncoding exclude each other, and an unknown compression is none': async (t) => {
    const queue = t.define(z.string());
    const producer = createProducer(t.broker, queue);
    await rejection(producer.send('x', { compress: 'gzip', contentEncoding: 'br' }), 'INVALID_OPTION');
    await rejection(producer.send('x', { compress: 'lzma' as 'gzip' }), 'INVALID_OPTION');
    expect(() => t.define(z.string(), { compress: 'zip' as 'gzip' })).toThrow(/compress/);
  },
};
