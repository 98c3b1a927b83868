import { expect } from 'vitest';
import type { Message } from '../../../src/broker.js';
import { rejection } from '../../support/rejection.js';
import { addressOf, message, numbered } from '../contract-context.js';
import type { Cases } from '../contract-suite.js';

const everyByte = Uint8Array.from({ length: 256 }, (_, value) => value);
const unicode = 'Grüße, 世界, 👩‍👩‍👧, \u0000, \uFEFF, \u2028';

/** The body as bytes: text may come as text or as its UTF-8. */
function bytesOf(body: Message['body']): Buffer {
  return typeof body === 'string' ? Buffer.from(body) : Buffer.from(body);
}

export const publishCases: Cases = {
  'a published message is stored when publish resolves, and waits for a subscriber': async (t) => {
    const queue = await t.declare();
    await t.publish(queue, 'early');
    expect(await t.ready(queue)).toBe(1);
    const inbox = await t.inbox(queue);
    const delivery = await inbox.next();
    expect(delivery).toMatchObject({ attempt: 1, redelivered: false });
    expect(delivery.message.id).toBe('early');
  },

  'a message reaches a subscriber that was there before it': async (t) => {
    const queue = await t.declare();
    const inbox = await t.inbox(queue);
    await t.publish(queue, 'late');
    expect((await inbox.next()).message.id).toBe('late');
  },

  'one producer and one subscriber keep the order': async (t) => {
    const queue = await t.declare();
    const ids = numbered(300);
    const inbox = await t.inbox(queue, { prefetch: 7 });
    await Promise.all(ids.map((id) => t.publish(queue, id)));
    expect(await inbox.ackNext(ids.length)).toEqual(ids);
  },

  'what not every backend could carry is refused by each, with a sentence that names it': async (t) => {
    const queue = await t.declare();
    const long = 'x'.repeat(256);
    const cases: [Record<string, unknown>, string][] = [
      [{ id: long }, 'id'],
      // The broker would return it under another id, and nobody would know that no queue took it.
      [{ id: 'half a pair: \ud83d' }, 'id'],
      [{ contentType: long }, 'contentType'],
      [{ contentEncoding: long }, 'contentEncoding'],
      [{ correlationId: 'é'.repeat(128) }, 'correlationId'],
      [{ replyTo: 7 }, 'replyTo'],
      [{ type: long }, 'type'],
      [{ appId: [] }, 'appId'],
      [{ timestamp: -1 }, 'timestamp'],
      [{ timestamp: Number.NaN }, 'timestamp'],
      [{ timestamp: 2 ** 60 }, 'timestamp'],
      [{ priority: 32 }, 'priority'],
      [{ expiresAt: -1 }, 'expiresAt'],
      [{ body: 5 }, 'body'],
      [{ headers: null }, 'headers'],
      [{ headers: { '': 'x' } }, 'name'],
      [{ headers: { [long]: 'x' } }, 'name'],
      [{ headers: { a: undefined } }, 'a'],
      [{ headers: { a: 'x'.repeat(66_000) } }, 'headers'],
    ];
    for (const [parts, what] of cases) {
      const publishing = t.broker.publish(addressOf(queue), message(parts as Partial<Message>));
      expect((await rejection(publishing, 'INVALID_MESSAGE')).message, JSON.stringify(parts)).toContain(what);
    }
    await t.publish(queue, 'next');
    expect(await t.ready(queue)).toBe(1);
  },

  'a message that no queue accepts is UNROUTABLE': async (t) => {
    const missing = t.queueName();
    const error = await rejection(t.publish(missing, 'lost'), 'UNROUTABLE');
    expect(error.message).toContain(missing);
    const queue = await t.declare();
    await t.publish(queue, 'next');
    expect(await t.ready(queue)).toBe(1);
  },

  'a message to a missing exchange is UNROUTABLE, and affects no other': async (t) => {
    const queue = await t.declare();
    const others = numbered(20).map((id) => t.publish(queue, id));
    const exchange = t.queueName();
    const lost = t.broker.publish({ exchange, routingKey: queue.name }, message());
    const more = numbered(20, 'n').map((id) => t.publish(queue, id));
    expect((await rejection(lost, 'UNROUTABLE')).message).toContain(exchange);
    await Promise.all([...others, ...more]);
    const inbox = await t.inbox(queue);
    expect(new Set(await inbox.ackNext(40))).toEqual(new Set([...numbered(20), ...numbered(20, 'n')]));
  },

  'a body of exactly the limit passes and one byte more is TOO_LARGE, as bytes and as text': async (t) => {
    const broker = await t.open({ maxMessageBytes: 1000 });
    expect(broker.maxMessageBytes).toBe(1000);
    const queue = t.spec();
    await broker.declare(queue);
    const publish = (body: Message['body']) => broker.publish(addressOf(queue), message({ id: 'big', body }));
    for (const body of [Buffer.alloc(1000), 'x'.repeat(1000), 'ü'.repeat(500)]) await publish(body);
    for (const body of [Buffer.alloc(1001), 'x'.repeat(1001), 'ü'.repeat(501), 'x'.repeat(100_000)]) {
      const error = await rejection(publish(body), 'TOO_LARGE');
      expect(error.message).toContain('1000');
    }
    expect((await broker.inspect(queue.name)).ready).toBe(3);
  },

  'TOO_LARGE comes before any routing': async (t) => {
    const broker = await t.open({ maxMessageBytes: 10 });
    const nowhere = addressOf(t.queueName());
    await rejection(broker.publish(nowhere, message({ body: 'eleven byte' })), 'TOO_LARGE');
  },

  'the properties of a message arrive as they were sent': async (t) => {
    const queue = await t.declare();
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
    await t.broker.publish(addressOf(queue), sent);
    const { message: received } = await (await t.inbox(queue)).next();
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

  'a message without content type, headers and properties has none on arrival': async (t) => {
    const queue = await t.declare();
    await t.broker.publish(addressOf(queue), { id: 'bare', contentType: '', headers: {}, body: '' });
    const { message: received } = await (await t.inbox(queue)).next();
    expect(received).toMatchObject({ id: 'bare', contentType: '' });
    expect({ ...received.headers }).toEqual({});
    const { timestamp, correlationId, replyTo } = received;
    expect([timestamp, correlationId, replyTo]).toEqual([undefined, undefined, undefined]);
  },

  'bodies arrive byte for byte: all bytes, none, text of every script': async (t) => {
    const queue = await t.declare();
    const inbox = await t.inbox(queue);
    for (const body of [everyByte, new Uint8Array(), '', unicode, Buffer.from('xxbytesxx').subarray(2, 7)]) {
      await t.broker.publish(addressOf(queue), message({ body }));
      const delivery = await inbox.next();
      expect(bytesOf(delivery.message.body)).toEqual(bytesOf(body));
      delivery.ack();
    }
  },

  'a body of the default limit of 1 MiB arrives whole': async (t) => {
    const queue = await t.declare();
    const body = Buffer.alloc(t.broker.maxMessageBytes, everyByte);
    expect(body.byteLength).toBe(1024 * 1024);
    await t.broker.publish(addressOf(queue), message({ body }));
    const delivery = await (await t.inbox(queue)).next();
    expect(bytesOf(delivery.message.body).equals(body)).toBe(true);
  },

  'changes that the sender makes to a message after publish do not reach the subscriber': async (t) => {
    const queue = await t.declare();
    const body = Buffer.from('as sent');
    const headers: Record<string, string> = { tenant: 'blue' };
    await t.broker.publish(addressOf(queue), message({ body, headers }));
    body.fill('!');
    headers.tenant = 'red';
    const { message: received } = await (await t.inbox(queue)).next();
    expect(bytesOf(received.body).toString()).toBe('as sent');
    expect(received.headers.tenant).toBe('blue');
  },

  'changes that a subscriber makes to a body do not reach the next one': async (t) => {
    const queue = await t.declare();
    await t.broker.publish(addressOf(queue), message({ body: Buffer.from('as sent') }));
    const inbox = await t.inbox(queue);
    const first = await inbox.next();
    if (typeof first.message.body !== 'string') first.message.body.fill(0);
    first.release();
    const second = await inbox.next();
    expect(bytesOf(second.message.body).toString()).toBe('as sent');
    await second.retry(0, { code: 'failed', error: 'again' });
    const third = await inbox.next();
    expect(bytesOf(third.message.body).toString()).toBe('as sent');
  },

  'higher priorities come first, and a message without one counts as 4': async (t) => {
    const { queueType } = t.subject;
    const queue = await t.declare(queueType === 'classic' ? { maxPriority: 31 } : {});
    for (const priority of [0, 3, undefined, 5, 31, undefined, 5]) {
      await t.broker.publish(addressOf(queue), message({ id: `priority ${priority}`, priority }));
    }
    expect(await (await t.inbox(queue, { prefetch: 1 })).ackNext(7)).toEqual([
      'priority 31',
      'priority 5',
      'priority 5',
      'priority undefined',
      'priority undefined',
      'priority 3',
      'priority 0',
    ]);
  },

  'a priority outside 0 to 31 is INVALID_MESSAGE': async (t) => {
    const queue = await t.declare();
    for (const priority of [-1, 32, 1.5, Number.NaN]) {
      await rejection(t.broker.publish(addressOf(queue), message({ priority })), 'INVALID_MESSAGE');
    }
    await t.publish(queue, 'good');
    expect(await t.ready(queue)).toBe(1);
  },
};
