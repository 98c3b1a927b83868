import { expect } from 'vitest';
import type { Message } from '../../src/broker.js';
import { rejection } from '../support/rejection.js';
import { addressOf, message, numbered } from './contract-context.js';
import type { Cases } from './contract-suite.js';

const everyByte = Uint8Array.from({ length: 256 }, (_, value) => value);
const unicode = 'Grüße, 世界, 👩‍👩‍👧, \u0000, \uFEFF, \u2028';

/** The body as bytes: text may come as text or as its UTF-8. */
function bytesOf(body: Message['body']): Buffer {
  return typeof body === 'string' ? Buffer.from(body) : Buffer.from(body);
}

export const publishCases: Cases = {
  'a published message is stored when publish resolves, and waits until somebody listens': async (bench) => {
    const queue = await bench.declare();
    await bench.publish(queue, 'early');
    expect(await bench.ready(queue)).toBe(1);
    const inbox = await bench.inbox(queue);
    const delivery = await inbox.next();
    expect(delivery).toMatchObject({ attempt: 1, redelivered: false });
    expect(delivery.message.id).toBe('early');
  },

  'a message reaches a subscriber that was there before it': async (bench) => {
    const queue = await bench.declare();
    const inbox = await bench.inbox(queue);
    await bench.publish(queue, 'late');
    expect((await inbox.next()).message.id).toBe('late');
  },

  'one producer and one subscriber keep the order': async (bench) => {
    const queue = await bench.declare();
    const ids = numbered(300);
    const inbox = await bench.inbox(queue, { prefetch: 7 });
    await Promise.all(ids.map((id) => bench.publish(queue, id)));
    expect(await inbox.ackNext(ids.length)).toEqual(ids);
  },

  'a message that no queue takes is UNROUTABLE': async (bench) => {
    const missing = bench.queueName();
    const error = await rejection(bench.publish(missing, 'lost'), 'UNROUTABLE');
    expect(error.message).toContain(missing);
    const queue = await bench.declare();
    await bench.publish(queue, 'next');
    expect(await bench.ready(queue)).toBe(1);
  },

  'a message to an exchange that is not there is UNROUTABLE, and takes no other with it': async (bench) => {
    const queue = await bench.declare();
    const others = numbered(20).map((id) => bench.publish(queue, id));
    const exchange = bench.queueName();
    const lost = bench.broker.publish({ exchange, routingKey: queue.name }, message());
    const more = numbered(20, 'n').map((id) => bench.publish(queue, id));
    expect((await rejection(lost, 'UNROUTABLE')).message).toContain(exchange);
    await Promise.all([...others, ...more]);
    const inbox = await bench.inbox(queue);
    expect(new Set(await inbox.ackNext(40))).toEqual(new Set([...numbered(20), ...numbered(20, 'n')]));
  },

  'a body of exactly the limit passes and one byte more is TOO_LARGE, as bytes and as text': async (
    bench,
  ) => {
    const broker = await bench.open({ maxMessageBytes: 1000 });
    expect(broker.maxMessageBytes).toBe(1000);
    const queue = bench.spec();
    await broker.declare(queue);
    const publish = (body: Message['body']) => broker.publish(addressOf(queue), message({ id: 'big', body }));
    for (const body of [Buffer.alloc(1000), 'x'.repeat(1000), 'ü'.repeat(500)]) await publish(body);
    for (const body of [Buffer.alloc(1001), 'x'.repeat(1001), 'ü'.repeat(501), 'x'.repeat(100_000)]) {
      const error = await rejection(publish(body), 'TOO_LARGE');
      expect(error.message).toContain('1000');
    }
    expect((await broker.inspect(queue.name)).ready).toBe(3);
  },

  'TOO_LARGE comes before any routing': async (bench) => {
    const broker = await bench.open({ maxMessageBytes: 10 });
    const nowhere = addressOf(bench.queueName());
    await rejection(broker.publish(nowhere, message({ body: 'eleven byte' })), 'TOO_LARGE');
  },

  'the properties of a message arrive as they were sent': async (bench) => {
    const queue = await bench.declare();
    const sent: Message = {
      id: `id-${unicode.replaceAll('\u0000', '')}`,
      contentType: 'application/vnd.example+json; charset=utf-8',
      headers: { plain: 'x', empty: '', 'Mixed-Case': 'y', grüße: unicode, long: 'z'.repeat(10_000) },
      body: '{}',
      timestamp: 1_700_000_000_999,
      correlationId: 'request 1',
      replyTo: 'answers',
      priority: 4,
    };
    await bench.broker.publish(addressOf(queue), sent);
    const { message: received } = await (await bench.inbox(queue)).next();
    expect(received).toMatchObject({
      id: sent.id,
      contentType: sent.contentType,
      correlationId: 'request 1',
      replyTo: 'answers',
    });
    expect({ ...received.headers }).toEqual(sent.headers);
    // To the second, which is all that AMQP 0-9-1 keeps.
    expect(Math.floor((received.timestamp ?? 0) / 1000)).toBe(1_700_000_000);
  },

  'a message without content type, headers and properties has none on arrival': async (bench) => {
    const queue = await bench.declare();
    await bench.broker.publish(addressOf(queue), { id: 'bare', contentType: '', headers: {}, body: '' });
    const { message: received } = await (await bench.inbox(queue)).next();
    expect(received).toMatchObject({ id: 'bare', contentType: '' });
    expect({ ...received.headers }).toEqual({});
    const { timestamp, correlationId, replyTo } = received;
    expect([timestamp, correlationId, replyTo]).toEqual([undefined, undefined, undefined]);
  },

  'bodies arrive byte for byte: all bytes, none, text of every script': async (bench) => {
    const queue = await bench.declare();
    const inbox = await bench.inbox(queue);
    for (const body of [everyByte, new Uint8Array(), '', unicode, Buffer.from('xxbytesxx').subarray(2, 7)]) {
      await bench.broker.publish(addressOf(queue), message({ body }));
      const delivery = await inbox.next();
      expect(bytesOf(delivery.message.body)).toEqual(bytesOf(body));
      delivery.ack();
    }
  },

  'a body of the default limit of 1 MiB arrives whole': async (bench) => {
    const queue = await bench.declare();
    const body = Buffer.alloc(bench.broker.maxMessageBytes, everyByte);
    expect(body.byteLength).toBe(1024 * 1024);
    await bench.broker.publish(addressOf(queue), message({ body }));
    const delivery = await (await bench.inbox(queue)).next();
    expect(bytesOf(delivery.message.body).equals(body)).toBe(true);
  },

  'what the sender does to a message after publish does not reach the subscriber': async (bench) => {
    const queue = await bench.declare();
    const body = Buffer.from('as sent');
    const headers: Record<string, string> = { tenant: 'blue' };
    await bench.broker.publish(addressOf(queue), message({ body, headers }));
    body.fill('!');
    headers.tenant = 'red';
    const { message: received } = await (await bench.inbox(queue)).next();
    expect(bytesOf(received.body).toString()).toBe('as sent');
    expect(received.headers.tenant).toBe('blue');
  },

  'what a subscriber does to a body does not reach the next one': async (bench) => {
    const queue = await bench.declare();
    await bench.broker.publish(addressOf(queue), message({ body: Buffer.from('as sent') }));
    const inbox = await bench.inbox(queue);
    const first = await inbox.next();
    if (typeof first.message.body !== 'string') first.message.body.fill(0);
    first.release();
    const second = await inbox.next();
    expect(bytesOf(second.message.body).toString()).toBe('as sent');
    await second.retry(0, { code: 'failed', error: 'again' });
    const third = await inbox.next();
    expect(bytesOf(third.message.body).toString()).toBe('as sent');
  },

  'greater priorities come first, and a message without one counts as 4': async (bench) => {
    const { queueType } = bench.subject;
    const queue = await bench.declare(queueType === 'classic' ? { maxPriority: 31 } : {});
    for (const priority of [0, 3, undefined, 5, 31, undefined, 5]) {
      await bench.broker.publish(addressOf(queue), message({ id: `priority ${priority}`, priority }));
    }
    expect(await (await bench.inbox(queue, { prefetch: 1 })).ackNext(7)).toEqual([
      'priority 31',
      'priority 5',
      'priority 5',
      'priority undefined',
      'priority undefined',
      'priority 3',
      'priority 0',
    ]);
  },

  'a priority outside 0 to 31 is INVALID_MESSAGE': async (bench) => {
    const queue = await bench.declare();
    for (const priority of [-1, 32, 1.5, Number.NaN]) {
      await rejection(bench.broker.publish(addressOf(queue), message({ priority })), 'INVALID_MESSAGE');
    }
    await bench.publish(queue, 'good');
    expect(await bench.ready(queue)).toBe(1);
  },
};
