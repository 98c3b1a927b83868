import type { Channel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Backend, Message } from '../../../src/broker.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { compareQueues } from '../../../src/rabbitmq/topology/compare-queues.js';
import {
  amqpUrl,
  brokerVersion,
  canStartOwnBroker,
  rawConnection,
  startOwnBroker,
  uniqueName,
} from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('past');
let broker: Backend;
let raw: Channel;
let count = 0;

beforeAll(async () => {
  broker = await openRabbitMqBroker([amqpUrl()], {});
  raw = await (await rawConnection()).createChannel();
  raw.on('error', () => {});
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

const specOf = (options: QueueOptions = {}, name = `${prefix}-${++count}`) =>
  defineQueue(name, z.unknown(), options).spec;
const message = (id: string): Message => ({ id, contentType: 'text/plain', headers: {}, body: id });
const differences = async (spec: ReturnType<typeof specOf>) =>
  (await compareQueues(amqpUrl(), spec, {})).flatMap((each) => each.differences);

describe('a queue that was declared on a server before 4.0', () => {
  it('is used with its dead-letter queue as it is, and compared so', async () => {
    const spec = specOf();
    const dead = `${spec.name}.dead`;
    // As 3.13 was asked for it: there is no limit of deliveries to lift.
    await raw.assertQueue(dead, { arguments: { 'x-queue-type': 'quorum' } });
    await broker.declare(spec);
    expect(await differences(spec)).toEqual([]);
    await broker.publish({ exchange: '', routingKey: spec.name }, message('a'));
    const inbox = await Inbox.open(broker, spec.name);
    await (await inbox.next()).deadLetter({ code: 'rejected', error: 'no' });
    await eventually(async () => (await broker.inspect(dead)).ready === 1);
  });

  it('keeps a limit of dead letters that is another one apart', async () => {
    const spec = specOf({ deadLetter: { capacity: 5 } });
    await raw.assertQueue(`${spec.name}.dead`, {
      arguments: { 'x-queue-type': 'quorum', 'x-max-length': 6, 'x-overflow': 'reject-publish' },
    });
    const { message: text } = await rejection(broker.declare(spec), 'QUEUE_MISMATCH');
    expect(text).toContain('x-max-length is 6 there and 5 here');
    expect(await differences(spec)).toEqual(['x-max-length is 6 there and 5 here']);
  });

  it('is used where it has no limit itself', async () => {
    const spec = specOf({ deliveryLimit: Number.POSITIVE_INFINITY, deadLetter: false });
    await raw.assertQueue(spec.name, { arguments: { 'x-queue-type': 'quorum' } });
    await broker.declare(spec);
    expect(await differences(spec)).toEqual([]);
  });

  it.skipIf(!brokerVersion().limitsDeliveries)(
    'is told from one with a limit that somebody chose',
    async () => {
      const spec = specOf();
      await raw.assertQueue(`${spec.name}.dead`, {
        arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 5 },
      });
      const { message: text } = await rejection(broker.declare(spec), 'QUEUE_MISMATCH');
      expect(text).toContain('x-delivery-limit is 5 there and -1 here');
    },
  );
});

describe('a classic queue with a capacity', () => {
  it('is used as earlier versions of the toolkit declared it, with a limit that the broker keeps', async () => {
    const spec = specOf({ type: 'classic', capacity: 3, deadLetter: false });
    await raw.assertQueue(spec.name, {
      arguments: { 'x-queue-type': 'classic', 'x-max-length': 3, 'x-overflow': 'reject-publish' },
    });
    await broker.declare(spec);
    expect(await differences(spec)).toEqual([]);
    const to = { exchange: '', routingKey: spec.name };
    for (const id of ['a', 'b', 'c']) await broker.publish(to, message(id));
    await rejection(broker.publish(to, message('d'), { noWait: true }), 'FULL');
    const other = specOf({ type: 'classic', capacity: 4, deadLetter: false }, spec.name);
    const { message: text } = await rejection(broker.declare(other), 'QUEUE_MISMATCH');
    expect(text).toContain('x-max-length is 3 there and 4 here');
  });

  it('loses nothing at a restart of the broker, when unsettled messages are ready again', async (context) => {
    context.skip(!canStartOwnBroker(), 'a restart would end the tests of all others');
    const container = await startOwnBroker();
    const own = await openRabbitMqBroker([container.amqpUrl], {});
    const spec = specOf({ type: 'classic', capacity: 20, deadLetter: false });
    await own.declare(spec);
    const to = { exchange: '', routingKey: spec.name };
    const ids = Array.from({ length: 60 }, (_, index) => `m${index}`);
    const holding = await Inbox.open(own, spec.name, { prefetch: 40 });
    for (const id of ids) await own.publish(to, message(id));
    await eventually(async () => (await own.inspect(spec.name)).ready === 20);
    await container.restart();
    await eventually(async () => (await own.inspect(spec.name).catch(() => undefined)) !== undefined);
    await holding.subscription.close();
    await eventually(async () => (await own.inspect(spec.name)).ready === 60);
    const inbox = await Inbox.open(own, spec.name, { prefetch: 100 });
    expect(new Set(await inbox.ackNext(60))).toEqual(new Set(ids));
    await own.close();
  });
});
