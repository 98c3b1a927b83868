import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../src/broker.js';
import { createProducer } from '../../src/producer/producer.js';
import { createRequester } from '../../src/producer/requester.js';
import { defineQueue } from '../../src/queue.js';
import { aroundBroker } from '../../src/testing/around-broker.js';
import { connect } from '../support/connect.js';
import { rejection } from '../support/rejection.js';

async function memory(): Promise<Backend> {
  const broker = await connect('local:');
  onTestFinished(() => broker.close());
  return broker;
}

/** The bodies that are in the queue, in their order. */
async function bodies(broker: Backend, queue: string, count: number): Promise<unknown[]> {
  const seen: unknown[] = [];
  const subscription = await broker.subscribe(queue, { prefetch: 1 }, (delivery) => {
    const { body } = delivery.message;
    seen.push(typeof body === 'string' ? body : [...body]);
    delivery.ack();
  });
  while (seen.length < count) await turn();
  await subscription.close();
  return seen;
}

/** A broker whose declarations take their time: the first ones longer than the later ones. */
async function slowlyDeclaring(): Promise<Backend> {
  const broker = await memory();
  let declarations = 0;
  const slow = aroundBroker(broker, {});
  const { declare } = slow;
  slow.declare = async (spec, options) => {
    await delay(Math.max(0, 20 - 5 * declarations++));
    await declare(spec, options);
  };
  return slow;
}

test('a queue that was removed is declared again for the message after the one that was unroutable', async () => {
  const broker = await memory();
  const producer = createProducer(broker, defineQueue('orders', z.number()));
  await producer.send(1);
  await broker.remove('orders');
  await rejection(producer.send(2), 'UNROUTABLE');
  await producer.send(3);
  expect(await bodies(broker, 'orders', 1)).toEqual(['3']);
});

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

test('its methods can be handed around on their own', async () => {
  const broker = await memory();
  const { send, trySend, sendMany } = createProducer(broker, defineQueue('orders', z.number()));
  await send(1);
  await trySend(2);
  await sendMany([3, 4]);
  expect(await bodies(broker, 'orders', 4)).toEqual(['1', '2', '3', '4']);
});

describe('while the queue is being declared', () => {
  const queue = defineQueue('a', z.number());

  test('messages keep the order of their sends', async () => {
    const broker = await slowlyDeclaring();
    const producer = createProducer(broker, queue);
    await Promise.all(numbers(8).map((n) => producer.send(n)));
    expect(await bodies(broker, 'a', 8)).toEqual(numbers(8).map(String));
  });

  test('values of sendMany do, with pauses between them', async () => {
    const broker = await slowlyDeclaring();
    async function* values() {
      for (const n of numbers(10)) {
        await delay(3);
        yield n;
      }
    }
    await createProducer(broker, queue).sendMany(values());
    expect(await bodies(broker, 'a', 10)).toEqual(numbers(10).map(String));
  });

  test('a send that gives up does not wait for earlier ones, and lets none overtake them', async () => {
    const broker = await slowlyDeclaring();
    const producer = createProducer(broker, queue);
    const first = producer.send(1);
    const hasty = producer.send(2, { timeoutMs: 1 });
    const third = producer.send(3);
    await rejection(hasty, 'TIMEOUT');
    await Promise.all([first, third]);
    expect(await bodies(broker, 'a', 2)).toEqual(['1', '3']);
  });

  test('buffers and headers are the producer’s own from the call on', async () => {
    const broker = await slowlyDeclaring();
    const bytes = defineQueue('a', z.instanceof(Uint8Array), { codec: 'bytes' });
    const producer = createProducer(broker, bytes);
    const buffer = Buffer.alloc(2);
    const sends = [1, 2, 3].map((n) => {
      buffer.writeUInt16BE(n);
      return producer.send(buffer);
    });
    await Promise.all(sends);
    expect(await bodies(broker, 'a', 3)).toEqual([
      [0, 1],
      [0, 2],
      [0, 3],
    ]);
  });
});

describe('an asynchronous schema', () => {
  const hanging = z.string().refine((text) => (text === 'hangs' ? new Promise<boolean>(() => {}) : true));

  test('is bounded by the time limit and the signal of a send, of sendMany and of a request', async () => {
    const broker = await memory();
    const queue = defineQueue('a', hanging);
    const producer = createProducer(broker, queue);
    const requester = createRequester(broker, queue, { reply: z.string() });
    for (const [code, limits] of [
      ['TIMEOUT', (ms = 20) => ({ timeoutMs: ms })],
      ['ABORTED', (ms = 20) => ({ signal: AbortSignal.timeout(ms) })],
    ] as const) {
      await rejection(producer.send('hangs', limits()), code);
      await rejection(producer.trySend('hangs', limits()), code);
      // Time enough to store what does not hang.
      const error = await rejection(producer.sendMany(['x', 'hangs', 'y'], limits(500)), code);
      expect(error.progress?.taken).toBe(3);
      expect(error.progress?.failed[0]).toMatchObject({ position: 1, error: { code } });
      await rejection(requester.request('hangs', limits()), code);
    }
    const aborted = AbortSignal.abort();
    await rejection(producer.send('hangs', { signal: aborted }), 'ABORTED');
    await rejection(requester.request('hangs', { signal: aborted }), 'ABORTED');
    await requester.close();
  });

  test('does not change the order of sendMany, however long it thinks about a value', async () => {
    const broker = await memory();
    const slowest = z.number().refine(async (n) => {
      await delay(n % 3 === 0 ? 10 : 0);
      return true;
    });
    await createProducer(broker, defineQueue('a', slowest)).sendMany(numbers(200));
    expect(await bodies(broker, 'a', 200)).toEqual(numbers(200).map(String));
  });

  test('validates a limited number of values of sendMany at once', async () => {
    let open = 0;
    let most = 0;
    const counting = z.number().refine(async () => {
      most = Math.max(most, ++open);
      await turn();
      open--;
      return true;
    });
    await createProducer(await memory(), defineQueue('a', counting)).sendMany(numbers(300));
    expect(most).toBeGreaterThan(1);
    // One more: the first value is validated twice.
    expect(most).toBeLessThanOrEqual(65);
  });

  test('that refuses a value of sendMany stops it, with the right account', async () => {
    const broker = await memory();
    const even = z.number().refine(async (n) => n !== 5, 'is five');
    const sending = createProducer(broker, defineQueue('a', even)).sendMany(numbers(1000));
    const { progress } = await rejection(sending, 'INVALID_MESSAGE');
    expect(progress?.failed).toMatchObject([{ position: 5, error: { code: 'INVALID_MESSAGE' } }]);
    expect(progress?.stored).toBe((progress?.taken ?? 0) - 1);
    expect(progress?.taken).toBeLessThan(200);
    expect((await broker.inspect('a')).ready).toBe(progress?.stored);
  });
});

describe('sendMany', () => {
  test('has at most some mebibytes in flight, and counts stored messages down', async () => {
    const broker = await memory();
    const body = 'x'.repeat(1024 * 1024 - 10);
    let taken = 0;
    function* values() {
      for (; taken < 60; taken++) yield body;
    }
    const queue = defineQueue('a', z.string(), { capacity: 10 });
    const sending = createProducer(broker, queue).sendMany(values());
    sending.catch(() => {});
    // Ten are in the queue, and 16 MiB wait for room: no more are taken.
    for (let before = -1, turns = 0; turns < 50 || taken < 20; turns++) {
      await turn();
      if (taken !== before) turns = 0;
      before = taken;
    }
    expect(taken).toBeLessThanOrEqual(30);
    expect((await bodies(broker, 'a', 60)).length).toBe(60);
    expect(await sending).toEqual({ stored: 60 });
  });

  test('sends a message that is larger than what may be under way', async () => {
    const broker = await connect('local:', { maxMessageBytes: 64 * 1024 * 1024 });
    onTestFinished(() => broker.close());
    const body = 'x'.repeat(20 * 1024 * 1024);
    const producer = createProducer(broker, defineQueue('a', z.string(), { codec: 'text' }));
    expect(await producer.sendMany([body, 'y', body])).toEqual({ stored: 3 });
  });

  test('reports its progress at most ten times a second, and at the end', async () => {
    const reports: unknown[] = [];
    const startedAt = performance.now();
    const onProgress = (progress: unknown) => reports.push(progress);
    await createProducer(await memory(), defineQueue('a', z.number())).sendMany(numbers(500), { onProgress });
    expect(reports.length).toBeLessThanOrEqual((performance.now() - startedAt) / 100 + 1);
    expect(reports.at(-1)).toEqual({ taken: 500, stored: 500, skipped: 0 });
  });

  test('lets the event loop turn while a synchronous iterable has values', async () => {
    const broker = await memory();
    let turns = 0;
    let isOver = false;
    const count = () => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    function* values() {
      for (let n = 0; n < 100; n++) {
        const until = performance.now() + 3;
        while (performance.now() < until);
        yield n;
      }
    }
    setImmediate(count);
    await createProducer(broker, defineQueue('a', z.number())).sendMany(values());
    isOver = true;
    expect(turns).toBeGreaterThanOrEqual(3);
  });
});

describe('half a surrogate pair, which would arrive as another text, is refused', () => {
  const half = 'n\ud800';

  test.each([
    ['id', { id: half }],
    ['correlationId', { correlationId: half }],
    ['replyTo', { replyTo: half }],
    ['headers', { headers: { tenant: half } }],
    ['headers', { headers: { [half]: 'x' } }],
  ])('in %s', async (name, options) => {
    const producer = createProducer(await memory(), defineQueue('a', z.string()));
    const error = await rejection(producer.send('x', options), 'INVALID_OPTION');
    expect(error.message).toContain('surrogate');
    expect(error.message).toContain(name === 'headers' ? 'header' : name);
    await producer.send('x', { id: '😀', headers: { '😀': '😀' } });
  });

  test('in the name of a queue', () => {
    expect(() => defineQueue(half, z.string())).toThrow('name: expected');
    expect(() => defineQueue('a', z.string(), { deadLetter: half })).toThrow('deadLetter.queue: expected');
  });
});
