import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { Connection } from '../../../src/rabbitmq/connection/connection.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import {
  amqpUrl,
  brokerVersion,
  closeConnectionsByName,
  managementApi,
  rawConnection,
  uniqueName,
} from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('topology');
const connectionName = uniqueName('topology');
let broker: Backend;
let count = 0;

beforeAll(async () => {
  broker = await openRabbitMqBroker([amqpUrl()], { connectionName });
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

function spec(options: QueueOptions = {}, name = `${prefix}-${++count}`) {
  return defineQueue(name, z.unknown(), options).spec;
}

async function rawChannel() {
  const channel = await (await rawConnection()).createChannel();
  channel.on('error', () => {});
  return channel;
}

async function argumentsOf(name: string): Promise<unknown> {
  const queue = (await managementApi('GET', `/api/queues/%2f/${encodeURIComponent(name)}`)) as {
    arguments: unknown;
  };
  return queue.arguments;
}

describe('declaring', () => {
  it('makes a quorum queue with its dead letters at the broker itself', async () => {
    const queue = spec({ capacity: 7, deliveryLimit: 3, deadLetter: { capacity: 9 } });
    await broker.declare(queue);
    expect(await argumentsOf(queue.name)).toEqual({
      'x-queue-type': 'quorum',
      'x-max-length': 7,
      'x-overflow': 'reject-publish',
      'x-delivery-limit': 3,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': `${queue.name}.dead`,
      'x-dead-letter-strategy': 'at-least-once',
    });
    expect(await argumentsOf(`${queue.name}.dead`)).toMatchObject({
      'x-queue-type': 'quorum',
      'x-max-length': 9,
      'x-overflow': 'reject-publish',
    });
  });

  it.each<[string, QueueOptions, QueueOptions, string]>([
    [
      'its type',
      { deadLetter: false, arguments: { 'x-delivery-limit': undefined } },
      { deadLetter: false, type: 'classic' },
      'x-queue-type is quorum there and classic here',
    ],
    ['what is empty', { deadLetter: false }, {}, "x-dead-letter-exchange is none there and '' here"],
    ['a limit', {}, { capacity: 5 }, 'x-max-length is none there and 5 here'],
    ['another limit', { capacity: 9 }, { capacity: 5 }, 'x-max-length is 9 there and 5 here'],
    [
      'a flag',
      { type: 'classic', deadLetter: false },
      { type: 'classic', deadLetter: false, autoDelete: true },
      'auto_delete is false there and true here',
    ],
  ])('is a mismatch that names %s and the way out', async (_, there, here, text) => {
    const queue = spec(there);
    await broker.declare(queue);
    const { message } = await rejection(broker.declare(spec(here, queue.name)), 'QUEUE_MISMATCH');
    expect(message).toContain(text);
    expect(message).toContain(`'${queue.name}'`);
    expect(message).toContain("declare: 'existing'");
    // What was declared before the refused one still is.
    await broker.declare(queue);
  });

  it('takes an existing queue of whatever kind as it is, and no missing one', async () => {
    const channel = await rawChannel();
    const queue = spec({ declare: 'existing' });
    await rejection(broker.declare(queue), 'QUEUE_MISSING');
    await channel.assertQueue(queue.name, {
      durable: true,
      arguments: { 'x-queue-type': 'classic', 'x-max-length': 3 },
    });
    await broker.declare(queue);
    const other = spec({ declare: 'if-missing' }, queue.name);
    await broker.declare(other);
    expect(await argumentsOf(queue.name)).toEqual({ 'x-queue-type': 'classic', 'x-max-length': 3 });
  });

  it('makes a missing shared queue so plainly that the tutorial can declare it, too', async () => {
    const queue = spec({ declare: 'if-missing' });
    await broker.declare(queue);
    const channel = await rawChannel();
    await channel.assertQueue(queue.name, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await rejection(broker.inspect(`${queue.name}.dead`), 'QUEUE_MISSING');
  });

  it('twice at the same time, and again later, asks the broker once', async () => {
    const queue = spec();
    await Promise.all([broker.declare(queue), broker.declare(queue), broker.declare({ ...queue })]);
    const channel = await rawChannel();
    await channel.deleteQueue(queue.name);
    await broker.declare(queue);
    await rejection(broker.inspect(queue.name), 'QUEUE_MISSING');
  });

  it('makes a queue again that a publish found missing', async () => {
    const queue = spec();
    await broker.declare(queue);
    await (await rawChannel()).deleteQueue(queue.name);
    const publish = () =>
      broker.publish(
        { exchange: '', routingKey: queue.name },
        { id: '1', contentType: '', headers: {}, body: '' },
      );
    await rejection(publish(), 'UNROUTABLE');
    await broker.declare(queue);
    await publish();
  });

  it('a transient shared queue, which the broker may refuse with the whole connection, leaves everything else up', async () => {
    const queue = spec();
    await broker.declare(queue);
    const deliveries: string[] = [];
    const subscription = await broker.subscribe(queue.name, { prefetch: 1 }, (delivery) => {
      deliveries.push(delivery.message.id);
      delivery.ack();
    });
    const transient = spec({ type: 'classic', durable: false, deadLetter: false });
    if (brokerVersion().takesTransientQueues) {
      await broker.declare(transient);
    } else {
      const { message } = await rejection(broker.declare(transient), 'BROKER_ERROR');
      expect(message).toContain('durable: true');
    }
    expect(broker.state).toBe('connected');
    await broker.publish(
      { exchange: '', routingKey: queue.name },
      { id: 'still here', contentType: '', headers: {}, body: '' },
    );
    await eventually(() => deliveries.length === 1);
    await subscription.close();
  });

  it('many transient shared queues takes one connection more, not one for each', async () => {
    const { open } = Connection;
    const others: Connection[] = [];
    let most = 0;
    const spy = vi.spyOn(Connection, 'open').mockImplementation(async (...settings) => {
      const connection = await open.apply(Connection, settings);
      others.push(connection);
      most = Math.max(most, others.filter(({ isOpen }) => isOpen).length);
      return connection;
    });
    onTestFinished(() => spy.mockRestore());
    const queues = Array.from({ length: 8 }, () =>
      spec({ type: 'classic', durable: false, deadLetter: false }),
    );
    const declared = await Promise.allSettled(queues.map((queue) => broker.declare(queue)));
    const status = brokerVersion().takesTransientQueues ? 'fulfilled' : 'rejected';
    expect(declared.map((each) => each.status)).toEqual(queues.map(() => status));
    expect(most).toBe(1);
    // Where none was refused they shared it.
    if (status === 'fulfilled') expect(others).toHaveLength(1);
    await eventually(() => others.every(({ isOpen }) => !isOpen));
  });

  it('refuses a queue that another connection holds for itself', async () => {
    const channel = await rawChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true, durable: false });
    const error = await rejection(broker.inspect(queue), 'ACCESS_REFUSED');
    expect(error.message).toContain('exclusive');
  });

  it('is repeated on the next connection: an exclusive queue comes back', async () => {
    const queue = spec({ type: 'classic', exclusive: true, durable: false, deadLetter: false });
    const name = uniqueName('exclusive');
    const own = await openRabbitMqBroker([amqpUrl()], { connectionName: name });
    await own.declare(queue);
    await closeConnectionsByName(`${name} (consume)`);
    await eventually(async () => (await own.inspect(queue.name)).ready === 0);
    await own.close();
  });

  it('names what a queue must not be called', async () => {
    await rejection(broker.declare({ ...spec(), name: 'amq.mine' }), 'ACCESS_REFUSED');
  });
});

describe('inspect and purge', () => {
  it('of a queue that is not there reject with QUEUE_MISSING, and leave the link up', async () => {
    const name = `${prefix}-none`;
    expect((await rejection(broker.inspect(name), 'QUEUE_MISSING')).message).toContain(name);
    await rejection(broker.purge(name), 'QUEUE_MISSING');
    expect(broker.state).toBe('connected');
  });
});
