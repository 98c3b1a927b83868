import type { ConsumeMessage } from 'amqplib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../../src/broker.js';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import { retryHeaders } from '../../../src/common/message/retry-headers.js';
import { asResent, fromWire, type ReceivedMessage, toWire } from '../../../src/rabbitmq/wire/amqp-message.js';
import { amqplibValue, fromAmqplib } from '../../../src/rabbitmq/wire/amqplib-message.js';
import { republished, thinned } from '../../../src/rabbitmq/wire/republished.js';

const to = { exchange: '', routingKey: 'orders' };
const plain: Message = { id: 'm1', contentType: 'text/plain', headers: {}, body: 'hello' };

describe('toWire', () => {
  it('is mandatory unless it is a reply, which older brokers then call unroutable and deliver', () => {
    const to = (exchange: string, routingKey: string) =>
      toWire({ exchange, routingKey }, { id: 'm1', contentType: '', headers: {}, body: '' }).options
        .mandatory;
    expect(to('', 'amq.rabbitmq.reply-to.g1h2AA.x==')).toBe(false);
    expect(to('', 'amq.rabbitmq.reply-to')).toBe(true);
    expect(to('replies', 'amq.rabbitmq.reply-to.g1h2AA.x==')).toBe(true);
  });

  it('is mandatory, persistent and under its id', () => {
    expect(toWire(to, plain)).toMatchObject({
      exchange: '',
      routingKey: 'orders',
      id: 'm1',
      options: { mandatory: true, persistent: true, messageId: 'm1', contentType: 'text/plain' },
    });
  });

  it('carries text and bytes as they are, bytes apart from the sender', () => {
    expect(toWire(to, { ...plain, body: 'Grüße' }).content).toBe('Grüße');
    const bytes = Uint8Array.of(0, 255, 128);
    const { content } = toWire(to, { ...plain, body: bytes });
    bytes.fill(7);
    expect(content).toEqual(Buffer.of(0, 255, 128));
  });

  it('keeps the time in whole seconds, and says a priority only where there is one', () => {
    expect(toWire(to, { ...plain, timestamp: 1_700_000_000_999 }).options.timestamp).toBe(1_700_000_000);
    expect(toWire(to, plain).options.priority).toBeUndefined();
    expect(toWire(to, plain, 4).options.priority).toBe(4);
    expect(toWire(to, { ...plain, priority: 0 }, 4).options.priority).toBe(0);
  });

  it.each<[string, Partial<Message>, string]>([
    ['an id of 256 bytes', { id: 'x'.repeat(256) }, '256 bytes'],
    ['a correlation id of 86 characters of three bytes', { correlationId: '€'.repeat(86) }, 'correlationId'],
    ['a content type that is too long', { contentType: 'x'.repeat(300) }, 'contentType'],
    ['a reply address that is too long', { replyTo: 'x'.repeat(300) }, 'replyTo'],
    ['a priority of 32', { priority: 32 }, 'priority'],
    ['a negative time', { timestamp: -1 }, 'timestamp'],
    ['a header that routes to further queues', { headers: { CC: 'elsewhere' } }, 'CC'],
    ['a header that is a function', { headers: { a: (() => 5) as never } }, '"a"'],
    ['a number that is not finite', { headers: { a: [Number.NaN] } }, '["a"][0]'],
    ['an integer of 65 bits', { headers: { a: { b: 2n ** 63n } } }, '["a"]["b"]'],
    ['a time that is no number', { expiresAt: Number.NaN }, 'expiresAt'],
  ])('refuses %s', (_, parts, why) => {
    expect(() => toWire(to, { ...plain, ...parts })).toThrow(
      expect.objectContaining({ code: 'INVALID_MESSAGE', message: expect.stringContaining(why) }),
    );
  });

  it('takes what has exactly 255 bytes, and refuses a routing key with one more', () => {
    expect(toWire(to, { ...plain, id: 'x'.repeat(255), correlationId: '€'.repeat(85) }).id).toHaveLength(255);
    expect(() => toWire({ exchange: '', routingKey: 'x'.repeat(256) }, plain)).toThrow(/routing key/);
  });
});

describe('fromWire', () => {
  it('gives back what was sent', () => {
    const headers = fc.dictionary(fc.string({ maxLength: 20 }), fc.string(), { noNullPrototype: true });
    const short = fc.string({ maxLength: 60 });
    fc.assert(
      fc.property(
        fc.record({
          id: fc.uuid(),
          contentType: short,
          headers,
          body: fc.uint8Array(),
          correlationId: short,
        }),
        fc.option(fc.nat({ max: 31 }), { nil: undefined }),
        (parts, priority) => {
          // The first two are refused; the third is one that amqplib can't read.
          fc.pre(!['', 'CC', 'BCC', '__proto__'].some((name) => Object.hasOwn(parts.headers, name)));
          const sent = { ...parts, priority, replyTo: undefined, timestamp: 1_700_000_000_000 };
          const { content, options } = toWire(to, sent);
          const received = fromWire(message({ ...options, content: Buffer.from(content) }));
          expect(received).toEqual({ ...sent, body: Buffer.from(sent.body), persistent: false });
        },
      ),
    );
  });

  it('makes up an id where a foreign sender gave none', () => {
    const id = fromWire(message({})).id;
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(fromWire(message({})).id).not.toBe(id);
  });

  it('gives headers their types and all their digits', () => {
    const headers = {
      number: 5,
      yes: true,
      nothing: null,
      bytes: Buffer.from('abc'),
      list: [1, 'two', Buffer.from('three')],
      when: { '!': 'timestamp', value: 7 },
      fraction: 1764000000123456.2,
    };
    expect(fromWire(message({ headers })).headers).toEqual({
      number: 5,
      yes: true,
      nothing: null,
      bytes: Uint8Array.from(Buffer.from('abc')),
      list: [1, 'two', Uint8Array.from(Buffer.from('three'))],
      when: new Date(7000),
      fraction: 1764000000123456.2,
    });
  });

  it('passes on what its sender says of the encoding', () => {
    for (const contentEncoding of ['GZIP', 'x-gzip, base64', 'utf-8', '', 'binary', undefined])
      expect(fromWire(message({ contentEncoding })).contentEncoding).toBe(contentEncoding);
  });

  it('leaves out properties of types that make no sense', () => {
    const odd = message({
      messageId: 5,
      contentType: {},
      priority: 'high',
      timestamp: Number.NaN,
      replyTo: null,
    });
    expect(fromWire(odd)).toMatchObject({
      contentType: '',
      priority: undefined,
      timestamp: undefined,
      replyTo: undefined,
    });
  });

  it.each([8.64e12 + 1, 1764000000123456, 2 ** 63])('takes the impossible time %d for none', (timestamp) => {
    expect(fromWire(message({ timestamp })).timestamp).toBeUndefined();
  });

  it('ignores headers that are no valid count or death', () => {
    const odd = { toString: 'x' };
    const headers = {
      'x-millrace-attempt': odd,
      'x-delivery-count': odd,
      'x-death': [{ reason: 'delivery_limit', queue: odd, time: odd }],
    };
    expect(fromWire(message({ headers })).headers).toMatchObject({
      'x-millrace-attempt': { toString: 'x' },
    });
  });

  it("tells a dead letter of the broker's own in the words of the toolkit", () => {
    const headers = {
      'x-death': [{ reason: 'delivery_limit', queue: 'orders', count: 1 }],
      'x-delivery-count': 3,
      ...retryHeaders({}, 2, {
        code: 'failed',
        error: 'no licence',
        stack: 'Error: no licence\n    at place',
      }),
    };
    const history = deadLetterHistory(fromWire(message({ headers })).headers);
    expect(history).toMatchObject({ reason: 'delivery-limit', queue: 'orders', attempts: 4 });
    // What is known of the attempt before.
    expect(history).toMatchObject({
      firstError: 'no licence',
      failures: [{ attempt: 1, error: 'no licence' }],
      stack: 'Error: no licence\n    at place',
    });
    expect(history?.failures).toHaveLength(1);
    const expired = { 'x-death': [{ reason: 'expired', queue: 'orders.retry.100', count: 1 }] };
    expect(deadLetterHistory(fromWire(message({ headers: expired })).headers)).toBeUndefined();
  });
});

describe('republished', () => {
  it('keeps what the sender set, types of headers too, and drops what belonged to the way so far', () => {
    const received = message({
      contentType: 'application/json',
      contentEncoding: 'gzip',
      expiration: '60000',
      userId: 'someone',
      appId: 'shop',
      type: 'order',
      priority: 7,
      timestamp: 5,
      content: Buffer.of(1, 2),
      headers: {
        number: 5,
        nan: Number.NaN,
        nested: { deep: [Number.NEGATIVE_INFINITY] },
        double: 1764000000123456.2,
        CC: ['elsewhere'],
        'x-death': [{}],
        'x-first-death-queue': 'a',
        'x-last-death-reason': 'b',
        'x-delivery-count': 2,
        'x-acquired-count': 3,
        'x-own': 'kept',
      },
    });
    const wire = republished('orders.dead', received, 'm1', (headers) => ({ ...headers, added: 'yes' }));
    expect(wire).toMatchObject({
      exchange: '',
      routingKey: 'orders.dead',
      id: 'm1',
      content: Buffer.of(1, 2),
    });
    expect(wire.options).toMatchObject({
      messageId: 'm1',
      mandatory: true,
      persistent: false,
      contentType: 'application/json',
      contentEncoding: 'gzip',
      appId: 'shop',
      type: 'order',
      priority: 7,
      timestamp: 5,
    });
    expect(wire.options).not.toHaveProperty('expiration');
    expect(wire.options).not.toHaveProperty('userId');
    expect(wire.options.headers).toEqual({ added: 'yes' });
    const typed = (wire.carried ?? []).map((field) => [field.name, amqplibValue(field)]);
    expect(Object.fromEntries(typed)).toEqual({
      number: { '!': 'int32', value: 5 },
      nan: { '!': 'double', value: Number.NaN },
      nested: { deep: [{ '!': 'double', value: Number.NEGATIVE_INFINITY }] },
      double: { '!': 'double', value: 1764000000123456.2 },
      'x-own': 'kept',
    });
  });

  it('drops unreadable headers, and names them', () => {
    let deep: unknown = 'x';
    for (let depth = 0; depth < 200; depth++) deep = { deep };
    const wire = republished(
      'orders.dead',
      message({ headers: { deep, flat: 1 } }),
      'm1',
      (headers) => headers,
    );
    expect(wire.carried?.map(({ name }) => name)).toEqual(['flat']);
    expect(wire.options.headers).toEqual({ 'x-millrace-dropped-headers': 'deep' });
  });

  it('is thinned by its largest headers, and at last of all, with short texts', () => {
    const headers = { small: 1, large: 'x'.repeat(3000), larger: ['x'.repeat(4000)] };
    const wire = republished('orders.dead', message({ headers }), 'm1', (all) => ({
      ...all,
      error: 'e'.repeat(1000),
    }));
    const names = (bytes: number) => thinned(wire, bytes).carried?.map(({ name }) => name);
    expect(names(32_768)).toEqual(['small', 'large', 'larger']);
    expect(names(4000)).toEqual(['small', 'large']);
    expect(thinned(wire, 4000).options.headers).toEqual({
      error: 'e'.repeat(1000),
      'x-millrace-dropped-headers': 'larger',
    });
    expect(names(0)).toEqual([]);
    expect(thinned(wire, 0).options.headers).toEqual({
      error: 'e'.repeat(100),
      'x-millrace-dropped-headers': 'small, large, larger',
    });
  });

  it('sent on under its id, has the types and properties that a message has no place for', () => {
    const received = message({
      messageId: 'm1',
      type: 'order',
      appId: 'shop',
      timestamp: 1764000000123456,
      contentEncoding: 'binary',
      headers: { number: 5, text: 'a', gone: 'b' },
    });
    const { headers, ...rest } = fromWire(received);
    const { gone: _, ...others } = headers;
    const wire = toWire(to, { ...rest, headers: { ...others, added: 'c' } });
    expect(wire.carried?.map(({ name }) => name)).toEqual(['number', 'text']);
    expect(wire.options).toMatchObject({
      headers: { added: 'c' },
      type: 'order',
      appId: 'shop',
      timestamp: 1764000000123456,
      contentEncoding: 'binary',
    });
    const other = toWire(to, { ...rest, headers, id: 'm2' });
    expect(other.carried?.map(({ name }) => name)).toEqual(['number']);
    expect(other.options).toMatchObject({ headers: { text: 'a', gone: 'b' }, timestamp: undefined });
  });

  it('marks resent messages only', () => {
    const { options } = toWire(to, { ...plain, headers: { a: '1' } });
    expect(asResent(options).headers).toEqual({ a: '1', 'x-millrace-resent': 'true' });
    expect(options.headers).toEqual({ a: '1' });
  });
});

function message({ content = Buffer.from('x'), ...properties }: Record<string, unknown>): ReceivedMessage {
  const fields = { exchange: '', routingKey: 'orders' };
  return fromAmqplib({ content, properties, fields } as unknown as ConsumeMessage);
}
