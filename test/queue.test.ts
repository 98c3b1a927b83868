import type { StandardSchemaV1 } from '@standard-schema/spec';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { Message } from '../src/broker.js';
import type { BindingOptions } from '../src/common/definitions/exchange-spec.js';
import { isQueueError, type QueueError } from '../src/errors.js';
import { defineQueue, type Queue, type QueueOptions } from '../src/queue.js';

const received = (body: string | Uint8Array, contentType = 'application/json'): Message => ({
  id: '1',
  contentType,
  headers: {},
  body,
});

function refusal(action: () => unknown, code: QueueError['code']): string {
  try {
    action();
  } catch (error) {
    if (isQueueError(error, code)) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** Options and names as JavaScript callers may give them. */
const define = (name: unknown, options?: unknown, schema: unknown = z.string()): Queue<unknown> =>
  defineQueue(name as string, schema as z.ZodUnknown, options as QueueOptions);

describe('the spec of a queue', () => {
  test('is a durable quorum queue with a dead-letter queue where nothing else is said', () => {
    expect(defineQueue('orders', z.string()).spec).toEqual({
      name: 'orders',
      declare: 'match',
      type: 'quorum',
      durable: true,
      exclusive: false,
      autoDelete: false,
      capacity: undefined,
      deadLetter: { queue: 'orders.dead', capacity: undefined },
      deliveryLimit: 20,
      onExpired: 'dead-letter',
      delayedRetry: undefined,
      maxPriority: undefined,
      arguments: {},
    });
  });

  test('takes every option', () => {
    const options: QueueOptions = {
      declare: 'if-missing',
      type: 'classic',
      durable: false,
      exclusive: true,
      autoDelete: true,
      capacity: 10,
      deadLetter: { queue: 'morgue', capacity: 5 },
      deliveryLimit: 3,
      onExpired: 'drop',
      delayedRetry: { minMs: 100, maxMs: 300 },
      maxPriority: 31,
      arguments: { 'x-expires': 1000 },
    };
    expect(define('orders', options).spec).toEqual({ name: 'orders', ...options });
  });

  test('takes each form of deadLetter', () => {
    const specOf = (deadLetter: QueueOptions['deadLetter']) => define('q', { deadLetter }).spec.deadLetter;
    expect(specOf(false)).toBe(false);
    expect(specOf(true)).toEqual({ queue: 'q.dead', capacity: undefined });
    expect(specOf('morgue')).toEqual({ queue: 'morgue', capacity: undefined });
    expect(specOf({ capacity: 5 })).toEqual({ queue: 'q.dead', capacity: 5 });
    expect(specOf({ queue: 'morgue', capacity: Number.POSITIVE_INFINITY })).toEqual({
      queue: 'morgue',
      capacity: Number.POSITIVE_INFINITY,
    });
  });

  test('delays all retries equally without a maximum delay', () => {
    expect(define('q', { delayedRetry: { minMs: 100 } }).spec.delayedRetry).toEqual({
      minMs: 100,
      maxMs: 100,
    });
  });

  test('an overflow that makes a dead letter of each refusal is refused: a send that waits is refused often', () => {
    const options = { arguments: { 'x-max-length': 5, 'x-overflow': 'reject-publish-dlx' } };
    expect(refusal(() => define('q', options), 'INVALID_OPTION')).toContain("use 'reject-publish'");
  });

  test('does not follow later changes of the options', () => {
    const args: Record<string, unknown> = { 'x-single-active-consumer': true };
    const { spec } = define('q', { arguments: args });
    args['x-expires'] = 5;
    expect(spec.arguments).toEqual({ 'x-single-active-consumer': true });
  });
});

describe('defineQueue refuses, with INVALID_OPTION,', () => {
  const refused: [string, unknown, unknown?][] = [
    ['an empty name', ''],
    ['a name that is no string', 5],
    ['a name with control characters', 'a\nb'],
    ['a name over 255 bytes', 'ü'.repeat(128), { deadLetter: false }],
    ['a name without room for that of its dead-letter queue', 'x'.repeat(251)],
    ["a name that begins with 'amq.'", 'amq.orders'],
    ['an unknown option', 'q', { maxLength: 5 }],
    ['options that are no object', 'q', 'classic'],
    ['options that are null', 'q', null],
    ['an unknown codec', 'q', { codec: 'xml' }],
    ['a codec named like a property of every object', 'q', { codec: 'toString' }],
    ['a codec that is null', 'q', { codec: null }],
    ['a codec that can only encode', 'q', { codec: { contentType: 'text/csv', encode: String } }],
    ['a codec without a content type', 'q', { codec: { encode: String, decode: String } }],
    ['an unknown way to declare', 'q', { declare: 'passive' }],
    ['an unknown type', 'q', { type: 'stream' }],
    ['a quorum queue that is not durable', 'q', { durable: false }],
    ['a quorum queue that is exclusive', 'q', { exclusive: true }],
    ['a quorum queue that is deleted with its last consumer', 'q', { autoDelete: true }],
    ['a quorum queue with maxPriority', 'q', { maxPriority: 5 }],
    ['a maxPriority of 0', 'q', { type: 'classic', maxPriority: 0 }],
    ['a maxPriority over 31', 'q', { type: 'classic', maxPriority: 32 }],
    ['a capacity of 0', 'q', { capacity: 0 }],
    ['a capacity that is not whole', 'q', { capacity: 1.5 }],
    ['a capacity in a string', 'q', { capacity: '10' }],
    ['a delivery limit of 0', 'q', { deliveryLimit: 0 }],
    ['a delayedRetry without a time', 'q', { delayedRetry: {} }],
    ['a delayedRetry at once', 'q', { delayedRetry: { minMs: 0 } }],
    ['a delayedRetry with a part of a millisecond', 'q', { delayedRetry: { minMs: 0.5 } }],
    ['a delayedRetry whose longest time is the shorter one', 'q', { delayedRetry: { minMs: 5, maxMs: 4 } }],
    ['a delayedRetry over 24 days', 'q', { delayedRetry: { minMs: 2 ** 31 } }],
    ['an unknown option of delayedRetry', 'q', { delayedRetry: { minMs: 5, type: 'all' } }],
    ['a dead-letter queue that is the queue itself', 'q', { deadLetter: 'q' }],
    ['an empty name for the dead-letter queue', 'q', { deadLetter: '' }],
    ['an unknown option of deadLetter', 'q', { deadLetter: { name: 'morgue' } }],
    ['a deadLetter that is a number', 'q', { deadLetter: 5 }],
    ['a capacity of 0 for the dead letters', 'q', { deadLetter: { capacity: 0 } }],
    ['a durable that only looks like a boolean', 'q', { durable: 'false' }],
  ];

  test.each(refused)('%s', (_case, name, options) => {
    refusal(() => define(name, options), 'INVALID_OPTION');
  });

  test('what is no Standard Schema', () => {
    for (const schema of [undefined, null, {}, 'string', { parse: String }, { '~standard': {} }]) {
      expect(refusal(() => define('q', undefined, schema ?? null), 'INVALID_OPTION')).toContain(
        'Standard Schema',
      );
    }
  });

  test("but takes the longest name, and 'amq.' where the queue is only looked up", () => {
    expect(define('ü'.repeat(110)).name).toHaveLength(110);
    expect(define('amq.gen-1', { declare: 'existing', deadLetter: false }).name).toBe('amq.gen-1');
  });
});

describe('encode', () => {
  const orders = defineQueue('orders', z.object({ id: z.string(), total: z.number().positive() }));

  test('gives the body and its content type', () => {
    expect(orders.encode({ id: 'A-1', total: 2 })).toEqual({
      contentType: 'application/json',
      body: '{"id":"A-1","total":2}',
    });
  });

  test('refuses a value that fails the schema, and names each place', () => {
    const text = refusal(() => orders.encode({ id: 5, total: -1 } as never), 'INVALID_MESSAGE');
    expect(text).toContain("'orders'");
    expect(text).toContain('id: ');
    expect(text).toContain('total: ');
  });

  test('names at most five places', () => {
    const many = defineQueue('many', z.array(z.string()));
    const text = refusal(() => many.encode(Array(50).fill(5)), 'INVALID_MESSAGE');
    expect(text).toContain('and 45 more');
    expect(text.length).toBeLessThan(1000);
  });

  test('refuses a valid value that the codec has no form for, and keeps the cause', () => {
    const anything = defineQueue('anything', z.unknown());
    for (const value of [undefined, 5n, () => {}]) {
      expect(() => anything.encode(value)).toThrow(
        expect.objectContaining({ code: 'INVALID_MESSAGE', cause: expect.any(TypeError) }),
      );
    }
  });

  test('sends the value as given: transformations run once, at the consumer', () => {
    const lengths = defineQueue(
      'lengths',
      z.string().transform((text) => text.length),
    );
    expect(lengths.encode('four')).toMatchObject({ body: '"four"' });
    expect(lengths.decode(received('"four"'))).toEqual({ ok: true, value: 4 });
  });

  test('waits for a schema that is asynchronous, and only then', async () => {
    const even = defineQueue(
      'even',
      z.number().refine(async (n) => n % 2 === 0, 'must be even'),
    );
    const encoding = even.encode(4);
    expect(encoding).toBeInstanceOf(Promise);
    expect(await encoding).toMatchObject({ body: '4' });
    await expect(even.encode(3)).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
    expect(orders.encode({ id: 'A-1', total: 2 })).not.toBeInstanceOf(Promise);
  });
});

describe('decode', () => {
  const orders = defineQueue('orders', z.object({ id: z.string() }));

  test('gives the value that the schema makes of the body', () => {
    expect(orders.decode(received('{"id":"A-1","extra":1}'))).toEqual({ ok: true, value: { id: 'A-1' } });
    expect(orders.decode(received(Buffer.from('{"id":"A-1"}'), ''))).toEqual({
      ok: true,
      value: { id: 'A-1' },
    });
  });

  test('tells bytes that do not decode from values that do not fit', () => {
    expect(orders.decode(received('{"id":'))).toMatchObject({ ok: false, failure: { code: 'undecodable' } });
    expect(orders.decode(received('{"id":5}'))).toMatchObject({
      ok: false,
      failure: { code: 'invalid', error: expect.stringContaining('id') },
    });
  });

  test('decodes each message by its own content type', () => {
    const texts = defineQueue('texts', z.string(), { codec: 'text' });
    expect(texts.decode(received('"quoted"'))).toEqual({ ok: true, value: 'quoted' });
    expect(texts.decode(received('"quoted"', 'text/plain'))).toEqual({ ok: true, value: '"quoted"' });
    expect(texts.decode(received('"quoted"', ''))).toEqual({ ok: true, value: '"quoted"' });
  });

  test('says undecodable where a codec of the user throws, whatever it throws', () => {
    for (const thrown of [new Error('bad row'), 'bad row', undefined, null]) {
      const codec = {
        contentType: 'text/csv',
        encode: String,
        decode() {
          throw thrown;
        },
      };
      const rows = defineQueue('rows', z.string(), { codec });
      expect(rows.decode(received('a;b', 'text/csv'))).toMatchObject({
        ok: false,
        failure: { code: 'undecodable', error: expect.any(String) },
      });
    }
  });

  test('never throws, whatever the bytes and the content type', () => {
    const contentType = fc.oneof(
      fc.constantFrom('application/json', 'text/plain', 'application/octet-stream', ''),
      fc.string(),
    );
    const body = fc.oneof(fc.uint8Array(), fc.string(), fc.json());
    fc.assert(
      fc.property(body, contentType, (bytes, type) => {
        expect(orders.decode(received(bytes, type))).toHaveProperty('ok');
      }),
    );
  });
});

describe('a schema that throws', () => {
  const throwing = (thrown: () => unknown): StandardSchemaV1<string, string> => ({
    '~standard': {
      version: 1,
      vendor: 'test',
      validate() {
        throw thrown();
      },
    },
  });

  test('refuses the value to send, and says nothing of the value received', () => {
    for (const thrown of [new RangeError('out of range'), 'out of range', undefined]) {
      const queue = defineQueue(
        'q',
        throwing(() => thrown),
      );
      expect(refusal(() => queue.encode('x'), 'INVALID_MESSAGE')).toContain('the schema threw');
      expect(queue.decode(received('"x"'))).toMatchObject({
        ok: false,
        failure: { code: 'failed' },
        error: thrown,
      });
    }
  });

  test('does the same when it rejects', async () => {
    const schema: StandardSchemaV1<string> = {
      '~standard': { version: 1, vendor: 'test', validate: () => Promise.reject(new Error('no database')) },
    };
    const queue = defineQueue('q', schema);
    await expect(queue.encode('x')).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
    expect(await queue.decode(received('"x"'))).toMatchObject({
      ok: false,
      failure: { code: 'failed', error: expect.stringContaining('no database') },
    });
  });
});

test('a binding that a definition both has and removes is refused: backends would do either', () => {
  const binding = { exchange: 'events', routingKey: 'order.*' };
  const define = (unbind: BindingOptions[]) =>
    defineQueue('q', z.unknown(), { bindings: [binding], unbind }).spec.unbind?.length;
  expect(() => define([binding])).toThrow(/unbind: .*"order\.\*"/);
  expect(
    define([
      { ...binding, routingKey: 'order.#' },
      { ...binding, arguments: { a: 1 } },
    ]),
  ).toBe(2);
});
