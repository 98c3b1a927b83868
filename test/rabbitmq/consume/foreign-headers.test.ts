import type { Options } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Backend, BrokerEvent } from '../../../src/broker.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { RejectMessage } from '../../../src/errors.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { toWire } from '../../../src/rabbitmq/wire/amqp-message.js';
import { PublishChannel, type PublishInternals } from '../../../src/rabbitmq/wire/publish-channel.js';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { definitions, frames, methodId } from '../../support/amqplib-codec.js';
import {
  amqpUrl,
  brokerRunsInContainer,
  rabbitmqctl,
  rawConnection,
  uniqueName,
} from '../../support/broker.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('foreign');
let count = 0;
let broker: Backend;
const events: BrokerEvent[] = [];

beforeAll(async () => {
  broker = await openRabbitMqBroker([amqpUrl()], { observe: (event) => events.push(event) });
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

async function declare(options: QueueOptions = {}) {
  const queue = defineQueue(`${prefix}-${++count}`, z.unknown(), options);
  await broker.declare(queue.spec);
  return queue;
}

/** Publishes as a stranger does. */
async function publish(queue: string, options: Options.Publish, body = '1'): Promise<void> {
  const channel = await (await rawConnection()).createConfirmChannel();
  channel.publish('', queue, Buffer.from(body), options);
  await channel.waitForConfirms();
  await channel.close();
}

/** That many nested tables. */
function nested(levels: number): unknown {
  let value: unknown = 'x';
  for (let level = 0; level < levels; level++) value = { a: value };
  return value;
}

/** As `publish`, with a header of any depth: amqplib's encoder runs out of stack. */
async function publishDeep(queue: string, id: string, levels: number): Promise<void> {
  const pieces: Buffer[] = [Buffer.from('S\0\0\0\x01x')];
  for (let level = 0, size = 6; level < levels; level++, size += 7) {
    const head = Buffer.alloc(7);
    head.write('F');
    head.writeUInt32BE(size + 2, 1);
    head.write('\x01a', 5);
    pieces.unshift(head);
  }
  const channel = await (await rawConnection()).createConfirmChannel();
  const publisher = new PublishChannel(channel, channel as unknown as PublishInternals, 131_072, {
    onAnswer: () => {},
    onFull: () => {},
    onDrain: () => {},
  });
  const wire = toWire(
    { exchange: '', routingKey: queue },
    { id, contentType: '', headers: { flat: '5' }, body: '1' },
  );
  const bytes = Buffer.concat([Buffer.from('\x04deep'), ...pieces]);
  publisher.publish({ ...wire, carried: [{ name: 'deep', bytes }] }, wire.options);
  await channel.waitForConfirms();
  await channel.close();
}

const odd = { toString: 'x', valueOf: 'y' };

describe.each(['quorum', 'classic'] as const)('on a %s queue', (type) => {
  it.each<[string, Record<string, unknown>]>([
    ['an attempt that is an object', { 'x-millrace-attempt': odd }],
    ['an attempt beyond all policies', { 'x-millrace-attempt': '9007199254740991' }],
    ['a number for such an attempt', { 'x-millrace-attempt': 100_001 }],
    [
      'a death whose queue is an object',
      { 'x-death': [{ reason: 'delivery_limit', queue: odd, time: odd }] },
    ],
    ['a count of deliveries that is an object', { 'x-delivery-count': odd }],
    ['a death that is none', { 'x-death': 5, 'x-millrace-reason': odd }],
    ['tables in tables', { deep: nested(30) }],
    ['a list of all types', { list: [1, 1.5, true, null, Buffer.of(255), { a: [] }] }],
  ])('a message with %s is handled, and so are those behind it', async (_, headers) => {
    const queue = await declare({ type });
    await publish(queue.name, { headers, messageId: 'odd' });
    await publish(queue.name, { messageId: 'good' });
    const inbox = await Inbox.open(broker, queue.name);
    expect(await inbox.ackNext(2)).toEqual(['odd', 'good']);
    expect(inbox.deliveries[0]?.attempt).toBe(1);
    await inbox.subscription.close();
  });

  it.each([40, 5000])(
    'a message with a header of %i levels is a dead letter, and can be looked at and dropped',
    async (levels) => {
      const queue = await declare({ type });
      await publishDeep(queue.name, 'deep', levels);
      await publish(queue.name, { messageId: 'good' });
      const before = events.length;
      const inbox = await Inbox.open(broker, queue.name);
      expect(await inbox.ackNext(1)).toEqual(['good']);
      const dead = deadLetters(broker, queue);
      const { deadLetters: letters } = await eventually(async () => {
        const list = await dead.list();
        return list.deadLetters.length > 0 && list;
      });
      expect(letters).toMatchObject([
        {
          id: 'deep',
          reason: 'undecodable',
          message: { headers: { flat: '5', 'x-millrace-dropped-headers': 'deep' } },
        },
      ]);
      const kinds = events.slice(before).map(({ type }) => type);
      expect(kinds).toContain('dead-lettered');
      expect(kinds).not.toContain('disconnected');
      expect(kinds).not.toContain('unsubscribed');
      expect(await dead.drop()).toMatchObject({ dropped: 1 });
      await inbox.subscription.close();
    },
  );

  it('a dead letter with a deep header is listed and dropped without losing the connection', async () => {
    const queue = await declare({ type });
    await publishDeep(`${queue.name}.dead`, 'deep', 5000);
    const before = events.length;
    const dead = deadLetters(broker, queue);
    await untilAsserted(async () =>
      expect(await dead.list()).toMatchObject({ deadLetters: [{ id: 'deep' }] }),
    );
    await eventually(async () => (await dead.replay({ to: queue.name })).replayed === 1);
    expect(events.slice(before).filter((event) => event.type === 'disconnected')).toEqual([]);
  });

  it('a delivery count that another queue wrote is ignored, also after a redelivery', async () => {
    const queue = await declare({ type, declare: 'if-missing' });
    await publish(queue.name, {
      messageId: 'moved',
      headers: {
        'x-delivery-count': 21,
        'x-acquired-count': 22,
        'x-death': [{ reason: 'rejected', queue: 'q' }],
      },
    });
    const inbox = await Inbox.open(broker, queue.name);
    const first = await inbox.next();
    expect(first).toMatchObject({ attempt: 1, redelivered: false });
    first.release();
    const second = await inbox.next();
    expect(second).toMatchObject({ attempt: 1, redelivered: true });
    second.ack();
    await inbox.subscription.close();
  });
});

/** The values of headers with their types, as amqplib encodes them. */
const TYPED = {
  // A name like any other. In an object literal it would be the prototype.
  ...JSON.parse('{"__proto__":{"__proto__":"nested"}}'),
  byte: { '!': 'int8', value: 5 },
  octet: { '!': 'uint8', value: 5 },
  short: { '!': 'int16', value: 5 },
  int: { '!': 'int32', value: 5 },
  unsigned: { '!': 'uint32', value: 5 },
  long: { '!': 'int64', value: 9_007_199_254_740_993n },
  small: { '!': 'int64', value: 5n },
  float: { '!': 'float', value: 0.5 },
  double: { '!': 'double', value: 5 },
  large: { '!': 'double', value: 1764000000123456.2 },
  decimal: { '!': 'decimal', value: { places: 2, digits: 499 } },
  time: { '!': 'timestamp', value: 18_000_000_000_000_000_000n },
  bytes: Buffer.of(0, 255, 128),
  nothing: null,
  list: [{ '!': 'int64', value: 1n }, { a: { '!': 'int16', value: 1 } }],
};

describe('types and digits of headers, and impossible times,', () => {
  /** Header frames differ in nothing but what the toolkit adds: the table is compared byte by byte. */
  async function tableOn(queue: string): Promise<Map<string, string>> {
    const connection = await rawConnection();
    const channel = await connection.createChannel();
    const inner = connection.connection as unknown as { rest: Buffer; recvFrame(): unknown };
    const { DeliveryReader } = await import('../../../src/rabbitmq/wire/delivery-reader.js');
    const reader = new DeliveryReader(inner);
    const fields = new Promise<Map<string, string>>((resolve) => {
      reader.receive(channel, ({ headers, properties }) => {
        const all = [...headers.fields()].map(({ name, bytes }) => [name, bytes.toString('hex')] as const);
        resolve(
          new Map([...all, ['timestamp', String(properties.timestamp)], ['type', String(properties.type)]]),
        );
      });
    });
    await channel.consume(queue, () => {}, { noAck: false });
    const result = await fields;
    await connection.close();
    return result;
  }

  const properties = { messageId: 'm', timestamp: 1764000000123456, type: 'order', appId: 'shop' };

  async function sent() {
    const queue = await declare();
    await publish(queue.name, { ...properties, headers: TYPED });
    return { queue, before: await tableOn(queue.name) };
  }

  function expectSame(after: Map<string, string>, before: Map<string, string>) {
    for (const [name, bytes] of before) expect([name, after.get(name)]).toEqual([name, bytes]);
  }

  it('survive a retry', async () => {
    const { queue, before } = await sent();
    const inbox = await Inbox.open(broker, queue.name);
    const delivery = await inbox.next();
    expect(delivery.message.headers).toMatchObject({
      long: 9_007_199_254_740_993n,
      float: 0.5,
      nothing: null,
      time: 18_000_000_000_000_000_000n,
    });
    expect(delivery.message.timestamp).toBeUndefined();
    await delivery.retry(10, { code: 'failed', error: 'no' });
    // Without a consumer, the broker would take a minute to return it.
    await inbox.next();
    await inbox.subscription.close();
    expectSame(await tableOn(queue.name), before);
  });

  it('survive a dead letter and its replay', async () => {
    const { queue, before } = await sent();
    const consumer = createConsumer(broker, queue, () => {
      throw new RejectMessage('no');
    });
    onTestFinished(async () => void (await consumer.stop()));
    await consumer.start();
    await eventually(() => consumer.counts.deadLettered === 1);
    await consumer.stop();
    expectSame(await tableOn(`${queue.name}.dead`), before);
    const dead = deadLetters(broker, queue);
    // The queue takes back what was looked at a moment after the look is over.
    const { deadLetters: letters } = await eventually(async () => {
      const list = await dead.list();
      return list.deadLetters.length > 0 && list;
    });
    expect(letters).toMatchObject([{ id: 'm', reason: 'rejected' }]);
    expect(await dead.replay()).toMatchObject({ replayed: 1, invalid: 0, failed: 0 });
    expectSame(await tableOn(queue.name), before);
  });
});

/** As `publish`, with each `Z` in the properties replaced by a byte that is no UTF-8. */
async function publishMalformed(queue: string, properties: Options.Publish): Promise<void> {
  const connection = await rawConnection();
  const channel = await connection.createConfirmChannel();
  const { ch } = channel as unknown as { readonly ch: number };
  const to = { exchange: '', routingKey: queue, mandatory: false, immediate: false, ticket: 0 };
  const method = definitions.encodeMethod(methodId('BasicPublish'), ch, to);
  const header = Buffer.from(
    definitions.encodeProperties(methodId('BasicProperties'), ch, 1, { ...properties }),
  );
  const malformed = header.map((byte) => (byte === 0x5a ? 0xff : byte));
  const { stream } = connection.connection as unknown as { readonly stream: NodeJS.WritableStream };
  stream.write(Buffer.concat([method, malformed, frames.makeBodyFrame(ch, Buffer.from('1'))]));
  await channel.checkQueue(queue);
  await channel.close();
}

describe('a message whose properties are no UTF-8 is retried, a dead letter and replayed like any other, and', () => {
  const text = 'Z'.repeat(200);
  it.each<[string, Options.Publish]>([
    ['its id', { messageId: text }],
    ['its content type', { contentType: text }],
    ['its encoding', { contentEncoding: text }],
    ['its correlation id', { correlationId: text }],
    ['its reply address', { replyTo: text }],
    ['its type', { type: text }],
    ['its application', { appId: text }],
    ['the name of a header', { headers: { [text]: 'x' } }],
    ['names in a header', { headers: { table: { [text]: { [text]: true } } } }],
    ['a header', { headers: { name: text } }],
  ])('%s costs no connection', async (_, properties) => {
    const queue = await declare();
    await publishMalformed(queue.name, { messageId: 'm', ...properties });
    const before = broker.counts.disconnected;
    const consumer = createConsumer(
      broker,
      queue,
      (_value, { attempt }) => {
        throw attempt === 1 ? new Error('not yet') : new RejectMessage('no');
      },
      { retry: { delaysMs: [1] } },
    );
    onTestFinished(async () => void (await consumer.stop()));
    await consumer.start();
    await eventually(() => consumer.counts.deadLettered === 1);
    await consumer.stop();
    await eventually(async () => (await deadLetters(broker, queue).replay()).replayed === 1);
    expect((await broker.inspect(queue.name)).ready).toBe(1);
    expect(broker.counts.disconnected).toBe(before);
  });
});

describe('a message is moved, whatever its headers', () => {
  it.each([8192, 131_072])('with frames of up to %i bytes', async (frameMax) => {
    const narrow = await openRabbitMqBroker([`${amqpUrl()}?frame_max=${frameMax}`], {});
    onTestFinished(() => narrow.close());
    const queue = await declare();
    const headers = Object.fromEntries(
      Array.from({ length: 64 }, (_, index) => [`h${index}`, 'x'.repeat(1012)]),
    );
    // Neither leaves room for a history, however short its errors are. More than a frame of that size carries can't even
    // arrive there.
    await publish(queue.name, {
      messageId: 'm',
      headers: frameMax > 8192 ? headers : { h: 'x'.repeat(7900) },
    });
    const inbox = await Inbox.open(narrow, queue.name);
    const failure = { code: 'failed', error: 'e'.repeat(5000), stack: 's'.repeat(5000) } as const;
    await (await inbox.next()).deadLetter(failure);
    await inbox.subscription.close();
    const { deadLetters: letters } = await deadLetters(broker, queue).list();
    expect(letters).toMatchObject([{ id: 'm', reason: 'failed', queue: queue.name }]);
    expect(letters[0]?.message.headers['x-millrace-dropped-headers']).toContain('h');
  });
});

it('in a narrow frame the history gives way, and all else is kept', async () => {
  const narrow = await openRabbitMqBroker([`${amqpUrl()}?frame_max=8192`], {});
  onTestFinished(() => narrow.close());
  const queue = await declare();
  const inbox = await Inbox.open(narrow, queue.name);
  const stack = 's'.repeat(4000);
  const bytes = { nothing: 1000, stack: 4500, both: 7760 };
  for (const [id, size] of Object.entries(bytes)) {
    await publish(queue.name, { messageId: id, headers: { h: 'x'.repeat(size) } });
    await (await inbox.next()).retry(0, { code: 'failed', error: 'first', stack });
    await (await inbox.next()).deadLetter({ code: 'failed', error: 'last', stack });
  }
  await inbox.subscription.close();
  const { deadLetters: letters } = await deadLetters(broker, queue).list();
  expect(letters.map(({ id, failures, stack: kept }) => [id, failures.length, kept?.length])).toEqual([
    ['nothing', 2, 4000],
    ['stack', 2, undefined],
    ['both', 0, undefined],
  ]);
  for (const { error, firstError, message } of letters) {
    expect([error, firstError]).toEqual(['last', 'first']);
    expect(message.headers).toHaveProperty('h');
    expect(message.headers).not.toHaveProperty('x-millrace-dropped-headers');
  }
});

it('a message that was sent again after a lost link is told as redelivered: it may be a duplicate', async () => {
  const queue = await declare();
  await publish(queue.name, { messageId: 'first' });
  await publish(queue.name, { messageId: 'again', headers: { 'x-millrace-resent': 'true' } });
  const inbox = await Inbox.open(broker, queue.name);
  const deliveries = await inbox.take(2);
  expect(deliveries.map(({ redelivered, attempt }) => [redelivered, attempt])).toEqual([
    [false, 1],
    [true, 1],
  ]);
  for (const delivery of deliveries) delivery.ack();
  await inbox.subscription.close();
});

it('labels of encodings that compress nothing are left to the codec', async () => {
  const codec = {
    contentType: 'application/x-msgpack',
    encode: (value: unknown) => JSON.stringify(value),
    decode: (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()),
    ignoresContentType: true,
  };
  const queue = defineQueue(`${prefix}-${++count}`, z.number(), { codec });
  const handled: number[] = [];
  const consumer = createConsumer(broker, queue, (value) => void handled.push(value));
  onTestFinished(async () => void (await consumer.stop()));
  await consumer.start();
  const labels = ['binary', 'us-ascii', '8bit', 'UTF-8', 'latin1', 'base64'];
  for (const [index, contentEncoding] of labels.entries())
    await publish(queue.name, { contentEncoding, contentType: 'application/x-msgpack' }, String(index));
  await publish(queue.name, { contentEncoding: 'gzip' }, '99');
  await eventually(() => handled.length === labels.length);
  const dead = await eventually(async () => {
    const { deadLetters: letters } = await deadLetters(broker, queue).list();
    return letters.length > 0 && letters;
  });
  expect(dead).toMatchObject([{ reason: 'undecodable' }]);
});

// The user is made by rabbitmqctl in the broker's container: TEST_AMQP_URL names none.
it.skipIf(!brokerRunsInContainer())(
  'a message that can be neither read nor moved is told as settle-failed, stays, and is moved once that is allowed',
  async () => {
    const queue = await declare();
    const user = uniqueName('reader');
    await rabbitmqctl('add_user', user, 's3cret');
    onTestFinished(async () => void (await rabbitmqctl('delete_user', user)));
    await rabbitmqctl('set_permissions', user, '^$', '^$', '.*');
    const told: BrokerEvent[] = [];
    const reader = await openRabbitMqBroker([amqpUrl().replace('guest:guest', `${user}:s3cret`)], {
      observe: (event) => told.push(event),
    });
    onTestFinished(() => reader.close());
    await publishDeep(queue.name, 'deep', 40);
    const inbox = await Inbox.open(reader, queue.name);
    const failed = await eventually(() => told.find((event) => event.type === 'settle-failed') ?? false);
    expect(failed).toMatchObject({ queue: queue.name, id: 'deep', error: { code: 'ACCESS_REFUSED' } });
    expect(inbox.deliveries).toEqual([]);
    await rabbitmqctl('set_permissions', user, '.*', '.*', '.*');
    await eventually(() => told.some((event) => event.type === 'dead-lettered'));
    const { deadLetters: letters } = await deadLetters(broker, queue).list();
    expect(letters).toMatchObject([{ id: 'deep', reason: 'undecodable' }]);
    await inbox.subscription.close();
  },
);

it('a message that becomes a dead letter unread is not lost to its subscriber when its connection is', async () => {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const far = await openRabbitMqBroker([proxy.url(amqpUrl())], {
    reconnect: { initialDelayMs: 20, maxDelayMs: 100 },
    observe: () => {},
  });
  onTestFinished(() => far.close());
  const queue = await declare({ deadLetter: { capacity: 1 } });
  const dead = `${queue.name}.dead`;
  await publish(dead, { messageId: 'fills' });
  await untilAsserted(async () => expect((await broker.inspect(dead)).ready).toBe(1));
  await far.declare(queue.spec);
  const inbox = await Inbox.open(far, queue.name);
  await publishDeep(queue.name, 'deep', 5000);
  // It waits for room among the dead letters.
  await eventually(async () => (await broker.inspect(queue.name)).ready === 0);
  await proxy.refuse(true);
  proxy.cut();
  await eventually(async () => (await broker.inspect(queue.name)).ready === 1);
  await proxy.refuse(false);
  await broker.purge(dead);
  await untilAsserted(async () => expect((await broker.inspect(dead)).ready).toBe(1));
  expect(inbox.deliveries).toEqual([]);
  expect(inbox.lost).toEqual([]);
});
