import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Backend, BrokerEvent, Message } from '../../../src/broker.js';
import { defineQueue } from '../../../src/queue.js';
import type { RabbitMqOptions } from '../../../src/rabbitmq/options.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import {
  amqpUrl,
  brokerRunsInContainer,
  rabbitmqctl,
  rawConnection,
  uniqueName,
} from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('limits');
let count = 0;

afterAll(() => removeQueues(prefix));

const message = (id: string, headers = {}): Message => ({ id, contentType: 'text/plain', headers, body: id });
const specOf = () =>
  defineQueue(`${prefix}-${++count}`, z.unknown(), { type: 'classic', deadLetter: false }).spec;

async function open(address: string, options: RabbitMqOptions = {}): Promise<Backend> {
  const broker = await openRabbitMqBroker([address], {
    reconnect: { initialDelayMs: 20, maxDelayMs: 200 },
    ...options,
  });
  onTestFinished(() => broker.close());
  return broker;
}

/** The address for a user of its own. */
async function userWith(limits: object, permissions: readonly [string, string, string]): Promise<string> {
  const name = uniqueName('user');
  await rabbitmqctl('add_user', name, 'secret');
  onTestFinished(async () => {
    await rabbitmqctl('delete_user', name);
  });
  await rabbitmqctl('set_permissions', name, ...permissions);
  await rabbitmqctl('set_user_limits', name, JSON.stringify(limits));
  return Object.assign(new URL(amqpUrl()), { username: name, password: 'secret' }).href;
}

const ALL = ['.*', '.*', '.*'] as const;

describe.skipIf(!brokerRunsInContainer())('a limit of the user', () => {
  it('of channels refuses the consumer that is one too many, and the others go on', async () => {
    const address = await userWith({ 'max-channels': 3 }, ALL);
    const broker = await open(address);
    const specs = [specOf(), specOf(), specOf(), specOf()];
    const handled: string[] = [];
    const subscribe = async ({ name }: { name: string }) => {
      await broker.subscribe(name, { prefetch: 1 }, (delivery) => {
        handled.push(delivery.message.id);
        delivery.ack();
      });
    };
    for (const spec of specs) await broker.declare(spec);
    for (const spec of specs.slice(0, 3)) await subscribe(spec);
    const error = await rejection(subscribe(specs[3] ?? specOf()), 'BROKER_ERROR');
    expect(error.message).toMatch(/number of channels/);
    const other = await open(amqpUrl());
    for (const [index, spec] of specs.slice(0, 3).entries()) {
      await other.publish({ exchange: '', routingKey: spec.name }, message(`m${index}`));
    }
    await eventually(() => handled.length === 3);
  });

  it('of connections is named', async () => {
    const address = await userWith({ 'max-connections': 1 }, ALL);
    const events: BrokerEvent[] = [];
    const broker = await open(address, { observe: (event) => events.push(event) });
    const first = await rejection(open(address), 'ACCESS_REFUSED');
    expect(first.message).toMatch(/connection limit/);
    // A sender learns why there is no connection for it.
    const spec = specOf();
    await broker.declare(spec);
    const failure = () =>
      rejection(
        broker.publish({ exchange: '', routingKey: spec.name }, message('m'), { timeoutMs: 100.4 }),
        'TIMEOUT',
      );
    // The first send opens the connection, and may give up before the broker has refused that.
    await eventually(async () => (await failure()).message.includes('no connection'));
    const error = await failure();
    expect(error.message).toMatch(/within 101 ms/);
    expect(error.message).toMatch(/connection limit/);
    expect(error.cause).toMatchObject({ code: 'ACCESS_REFUSED' });
  });
});

describe.skipIf(!brokerRunsInContainer())('a user that may only write', () => {
  it('to the default exchange sends to a queue that exists', async () => {
    const spec = specOf();
    await (await open(amqpUrl())).declare(spec);
    const broker = await open(await userWith({}, ['^$', '^amq\\.default$', '^$']));
    const existing = { ...spec, declare: 'existing' as const };
    await broker.declare(existing);
    await broker.publish({ exchange: '', routingKey: spec.name }, message('m'));
    await rejection(
      broker.publish({ exchange: '', routingKey: `${spec.name}-none` }, message('n')),
      'UNROUTABLE',
    );
    await rejection(
      broker.subscribe(spec.name, { prefetch: 1 }, () => {}),
      'ACCESS_REFUSED',
    );
  });
});

describe('the channels of a connection', () => {
  it('serve more requests at once than there are channels', async () => {
    const broker = await open(`${amqpUrl()}?channel_max=5`);
    const spec = specOf();
    await broker.declare(spec);
    const stats = await Promise.all(Array.from({ length: 500 }, () => broker.inspect(spec.name)));
    expect(stats).toHaveLength(500);
  });

  it('serve first sends to many queues, and to an exchange that was not used before', async () => {
    const broker = await open(`${amqpUrl()}?channel_max=5`);
    const specs = Array.from({ length: 30 }, specOf);
    await Promise.all(
      specs.map(async (spec) => {
        await broker.declare(spec);
        await broker.publish({ exchange: '', routingKey: spec.name }, message('m'));
      }),
    );
    const exchange = `${prefix}-exchange`;
    const raw = await (await rawConnection()).createChannel();
    await raw.assertExchange(exchange, 'fanout', { durable: false, autoDelete: false });
    onTestFinished(async () => {
      await raw.deleteExchange(exchange);
    });
    const spec = specOf();
    await broker.declare(spec);
    await raw.bindQueue(spec.name, exchange, '');
    const ids = Array.from({ length: 3000 }, (_, index) => `m${index}`);
    await Promise.all(ids.map((id) => broker.publish({ exchange, routingKey: '' }, message(id))));
    expect((await broker.inspect(spec.name)).ready).toBe(3000);
  });

  it('that are all in use are the reason that a request gives, and its turn comes when one is free', async () => {
    const broker = await open(`${amqpUrl()}?channel_max=2`);
    const spec = specOf();
    await broker.declare(spec);
    const inbox = await Inbox.open(broker, spec.name);
    const other = await Inbox.open(broker, spec.name);
    const asked = broker.inspect(spec.name);
    await rejection(broker.inspect(spec.name, { timeoutMs: 100 }), 'TIMEOUT');
    await other.subscription.close();
    expect(await asked).toMatchObject({ ready: 0 });
    await inbox.subscription.close();
  });
});

describe('headers over the size of a frame', () => {
  it('are refused, and the connection and the other messages are not risked', async () => {
    const events: BrokerEvent[] = [];
    const broker = await open(`${amqpUrl()}?frame_max=8192`, { observe: (event) => events.push(event) });
    const spec = specOf();
    await broker.declare(spec);
    const to = { exchange: '', routingKey: spec.name };
    const big = broker.publish(to, message('big', { h: 'x'.repeat(10_000) }));
    const small = broker.publish(to, message('small'));
    const { message: text } = await rejection(big, 'INVALID_MESSAGE');
    expect(text).toContain('8192');
    await small;
    await broker.publish(to, message('near', { h: 'x'.repeat(8000) }));
    expect(events.filter(({ type }) => type === 'disconnected')).toEqual([]);
    expect((await broker.inspect(spec.name)).ready).toBe(2);
  });

  it('do not keep a message from being moved', async () => {
    const broker = await open(`${amqpUrl()}?frame_max=8192`);
    const spec = defineQueue(`${prefix}-${++count}`, z.unknown(), {}).spec;
    await broker.declare(spec);
    const headers = { large: 'x'.repeat(9000), small: 'y' };
    await (await open(amqpUrl())).publish({ exchange: '', routingKey: spec.name }, message('m', headers));
    const delivery = await (await Inbox.open(broker, spec.name)).next();
    await delivery.deadLetter({ code: 'rejected', error: 'no' });
    const dead = await (await Inbox.open(broker, `${spec.name}.dead`)).next();
    expect(dead.message.headers).toMatchObject({ small: 'y', 'x-millrace-reason': 'rejected' });
    expect(dead.message.headers['x-millrace-dropped-headers']).toContain('large');
  });
});
