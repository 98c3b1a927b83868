import type { Channel, ChannelModel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Backend, BrokerEvent } from '../../../src/broker.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { defineExchange, defineRoute } from '../../../src/exchange.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { createPublisher } from '../../../src/topics/publisher.js';
import { defineSubscription } from '../../../src/topics/subscription.js';
import { defineTopic } from '../../../src/topics/topic.js';
import {
  amqpUrl,
  brokerVersion,
  closeConnectionsByName,
  rawConnection,
  uniqueName,
} from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('exchanges');
let count = 0;
const name = () => `${prefix}-${++count}`;

let broker: Backend;
let connection: ChannelModel;
let raw: Channel;

beforeAll(async () => {
  broker = await connect(amqpUrl());
  connection = await rawConnection();
  raw = await connection.createChannel();
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

const message = (id: string) => ({ id, contentType: 'text/plain', headers: {}, body: id });

/** What a foreign subscriber gets: `emit_log`'s counterpart in the tutorials. */
async function rawSubscriber(exchange: string, patterns: readonly string[]) {
  const got: { key: string; text: string; type: unknown }[] = [];
  const { queue } = await raw.assertQueue('', { exclusive: true });
  for (const pattern of patterns) await raw.bindQueue(queue, exchange, pattern);
  await raw.consume(
    queue,
    (each) =>
      each !== null &&
      got.push({ key: each.fields.routingKey, text: String(each.content), type: each.properties.type }),
    { noAck: true },
  );
  return got;
}

describe('the programs of the tutorials, and ours, on the same exchange', () => {
  it('publish and subscribe: a fanout exchange that is not durable', async () => {
    const logs = name();
    await raw.assertExchange(logs, 'fanout', { durable: false });
    const theirs = await rawSubscriber(logs, ['']);
    const ours = defineQueue(name(), z.string(), {
      type: 'classic',
      exclusive: true,
      codec: 'text',
      deadLetter: false,
      bindings: [{ exchange: logs }],
    });
    await broker.declare(ours.spec);
    const inbox = await Inbox.open(broker, ours.name);
    raw.publish(logs, '', Buffer.from('info: Hello World!'));
    const received = await inbox.next();
    expect([String(received.message.body), received.message.origin]).toEqual([
      'info: Hello World!',
      { exchange: logs, routingKey: '' },
    ]);
    await createProducer(broker, defineRoute(logs, z.string(), { codec: 'text' })).send('from millrace');
    await eventually(() => theirs.length === 2);
    expect(theirs.map(({ text }) => text)).toEqual(['info: Hello World!', 'from millrace']);
    // A definition of our own meets theirs by its properties.
    await broker.declareExchange(defineExchange(logs, { type: 'fanout', durable: false }).spec);
    await rejection(broker.declareExchange(defineExchange(logs, { type: 'fanout' }).spec), 'QUEUE_MISMATCH');
  });

  it('routing: a direct exchange, by severity', async () => {
    const exchange = defineExchange(name(), { type: 'direct', durable: false });
    const errors = defineQueue(name(), z.string(), {
      codec: 'text',
      bindings: ['warning', 'error'].map((routingKey) => ({ exchange, routingKey })),
    });
    await broker.declare(errors.spec);
    await raw.assertExchange(exchange.name, 'direct', { durable: false });
    const theirs = await rawSubscriber(exchange.name, ['info', 'error']);
    for (const severity of ['info', 'warning', 'error']) {
      raw.publish(exchange.name, severity, Buffer.from(`theirs: ${severity}`));
    }
    const lines = defineRoute(exchange, z.string(), {
      codec: 'text',
      routingKey: (line) => line.split(' ')[1] ?? '',
    });
    const producer = createProducer(broker, lines);
    for (const severity of ['info', 'warning', 'error']) await producer.send(`ours: ${severity}`);
    await eventually(() => theirs.length === 4);
    expect(theirs.map(({ text }) => text).sort()).toEqual([
      'ours: error',
      'ours: info',
      'theirs: error',
      'theirs: info',
    ]);
    const seen: string[] = [];
    const consumer = createConsumer(broker, errors, (line, { routingKey }) =>
      seen.push(`${line} ${routingKey}`),
    );
    await consumer.start();
    await eventually(() => seen.length === 4);
    await consumer.stop();
    expect(seen.sort()).toEqual([
      'ours: error error',
      'ours: warning warning',
      'theirs: error error',
      'theirs: warning warning',
    ]);
  });

  it('topics: their patterns and ours', async () => {
    const exchange = name();
    await raw.assertExchange(exchange, 'topic', { durable: false });
    const animals = defineTopic(
      exchange,
      {
        'quick.orange.rabbit': z.object({ name: z.string() }),
        'lazy.brown.fox': z.object({ name: z.string() }),
      },
      { declare: 'existing' },
    );
    const lazy = defineSubscription(animals, 'lazy', { to: ['lazy.#', '*.*.rabbit'] });
    const seen: string[] = [];
    const consumer = createConsumer(broker, lazy, {
      handlers: {
        'quick.orange.rabbit': ({ name }) => seen.push(`rabbit ${name}`),
        'lazy.brown.fox': ({ name }) => seen.push(`fox ${name}`),
      },
    });
    await consumer.start();
    const theirs = await rawSubscriber(exchange, ['*.orange.*', 'lazy.#']);
    raw.publish(exchange, 'lazy.brown.fox', Buffer.from('{"name":"theirs"}'), {
      contentType: 'application/json',
    });
    await createPublisher(broker, animals).publish('quick.orange.rabbit', { name: 'ours' });
    await eventually(() => seen.length === 2 && theirs.length === 2);
    await consumer.stop();
    expect(seen.sort()).toEqual(['fox theirs', 'rabbit ours']);
    expect(theirs.find(({ text }) => text.includes('ours'))).toEqual({
      key: 'quick.orange.rabbit',
      text: '{"name":"ours"}',
      type: 'quick.orange.rabbit',
    });
  });

  it('headers: a queue that is bound by the headers of messages', async () => {
    const exchange = defineExchange(name(), { type: 'headers' });
    const { spec } = defineQueue(name(), z.unknown(), {
      bindings: [{ exchange, arguments: { 'x-match': 'all', tenant: 'blue' } }],
    });
    await broker.declare(spec);
    const to = { exchange: exchange.name, routingKey: '' };
    await rejection(broker.publish(to, message('none')), 'UNROUTABLE');
    await broker.publish(to, { ...message('blue'), headers: { tenant: 'blue' } });
    expect((await (await Inbox.open(broker, spec.name)).next()).message.id).toBe('blue');
  });
});

describe('the bindings of a queue', () => {
  it('end with the first one that is refused', async () => {
    const byHeaders = defineExchange(name(), { type: 'headers' });
    const byKey = defineExchange(name(), { type: 'direct' });
    const keys = Array.from({ length: 200 }, (_, index) => `key-${index}`);
    const { spec } = defineQueue(name(), z.unknown(), {
      bindings: [
        { exchange: byHeaders, arguments: { 'x-match': 'some', tenant: 'blue' } },
        ...keys.map((routingKey) => ({ exchange: byKey, routingKey })),
      ],
    });
    const error = await rejection(broker.declare(spec), 'BROKER_ERROR');
    expect(error.message).toContain('x-match');
    const to = { exchange: byKey.name, routingKey: 'key-199' };
    await rejection(broker.publish(to, message('none')), 'UNROUTABLE');
  });

  it('are declared again with a deleted queue, before its consumer reports that', async () => {
    const events: BrokerEvent[] = [];
    const own = await connect(amqpUrl(), { observe: (event) => events.push(event) });
    const exchange = defineExchange(name(), { type: 'topic' });
    const { spec } = defineQueue(name(), z.unknown(), { bindings: [{ exchange, routingKey: 'a.*' }] });
    await own.declare(spec);
    const inbox = await Inbox.open(own, spec.name);
    const publish = (id: string) =>
      broker.publish({ exchange: exchange.name, routingKey: 'a.b' }, message(id));
    // RabbitMQ 3.10 does not tell a consumer of a deletion that a declaration follows at once: plain amqplib gets no
    // cancellation either, and the broker counts the consumer for the new queue.
    const times = brokerVersion().limitsDeliveries ? ['first', 'second'] : ['first'];
    for (const time of times) {
      events.length = 0;
      await raw.deleteQueue(spec.name);
      // The second time somebody else is faster, and knows nothing of the bindings.
      if (time === 'second') {
        const plain = defineQueue(spec.name, z.unknown()).spec;
        await broker.declare(plain);
      }
      await eventually(() => events.some(({ type }) => type === 'resubscribed'));
      await publish(time);
      const delivery = await inbox.next();
      expect(delivery.message.id).toBe(time);
      delivery.ack();
    }
    await own.close();
  });

  it('of each process come back with its connection, and with its own queue', async () => {
    const events: BrokerEvent[] = [];
    const connectionName = name();
    const own = await connect(amqpUrl(), {
      connectionName,
      reconnect: { initialDelayMs: 10, maxDelayMs: 100 },
      observe: (event) => events.push(event),
    });
    const topic = defineTopic(name(), { 'price.changed': z.object({ price: z.number() }) });
    const prices = defineSubscription(topic, { each: 'process', to: ['price.*'] });
    const seen: number[] = [];
    const consumer = createConsumer(own, prices, {
      handlers: { 'price.changed': ({ price }) => seen.push(price) },
    });
    await consumer.start();
    const publisher = createPublisher(broker, topic);
    expect(await publisher.publish('price.changed', { price: 1 })).toMatchObject({ routed: true });
    await eventually(() => seen.length === 1);
    await closeConnectionsByName(`${connectionName} (consume)`);
    await eventually(() => events.some(({ type }) => type === 'resubscribed'));
    expect(await publisher.publish('price.changed', { price: 2 })).toMatchObject({ routed: true });
    await eventually(() => seen.length === 2);
    await consumer.stop();
    await own.close();
    expect(seen).toEqual([1, 2]);
  });

  it('to an exchange that was deleted come back when its queue is declared, and its publisher goes on', async () => {
    const topic = defineTopic(name(), { tick: z.number() });
    const ticks = defineSubscription(topic, 'ticks', { to: ['tick'] });
    await broker.declare(ticks.spec);
    const publisher = createPublisher(broker, topic);
    expect(await publisher.publish('tick', 1)).toMatchObject({ routed: true });
    await raw.deleteExchange(topic.name);
    const outcomes: unknown[] = [];
    // The first may meet the closed channel; then the exchange is there again, with nobody bound.
    await eventually(async () => {
      const result = await publisher.publish('tick', 2).catch((error) => error.code);
      outcomes.push(typeof result === 'string' ? result : result.routed);
      return outcomes.at(-1) === false;
    });
    const again = await connect(amqpUrl());
    await again.declare(ticks.spec);
    await again.close();
    expect(await publisher.publish('tick', 3)).toMatchObject({ routed: true });
  });

  it('leave a message its origin when the broker itself makes it a dead letter', async () => {
    const exchange = defineExchange(name(), { type: 'topic' });
    const { spec } = defineQueue(name(), z.unknown(), {
      deliveryLimit: 1,
      bindings: [{ exchange, routingKey: '#' }],
    });
    await broker.declare(spec);
    await broker.publish({ exchange: exchange.name, routingKey: 'a.b' }, message('dies'));
    for (let death = 0; death < 2; death++) {
      const dying = await rawConnection();
      const channel = await dying.createChannel();
      await new Promise((resolve) => void channel.consume(spec.name, resolve));
      await dying.close();
    }
    await untilAsserted(async () => expect((await broker.inspect(`${spec.name}.dead`)).ready).toBe(1));
    const dead = await (await Inbox.open(broker, `${spec.name}.dead`)).next();
    expect(dead.message.origin).toEqual({ exchange: exchange.name, routingKey: 'a.b' });
  });
});

describe('an exchange to which nobody may publish', () => {
  it('refuses the message, and the others of its connection are stored', async () => {
    const internal = name();
    await raw.assertExchange(internal, 'topic', { internal: true, durable: false, autoDelete: true });
    const route = defineRoute(internal, z.string(), { routingKey: 'a' });
    const orders = defineQueue(name(), z.string());
    const producer = createProducer(broker, orders);
    await producer.send('first');
    const others = Promise.all(Array.from({ length: 50 }, (_, index) => producer.send(`${index}`)));
    const { message: text } = await rejection(
      createProducer(broker, route).send('refused'),
      'ACCESS_REFUSED',
    );
    expect(text).toContain(internal);
    await others;
    await producer.send('last');
    const ready = async () => (await broker.inspect(orders.name)).ready;
    await untilAsserted(async () => expect(await ready()).toBeGreaterThanOrEqual(52));
    await raw.deleteExchange(internal);
  });
});
