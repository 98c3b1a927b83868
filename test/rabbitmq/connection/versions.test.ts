import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Backend, QueueSpec } from '../../../src/broker.js';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { amqpUrl, brokerVersion, uniqueName } from '../../support/broker.js';
import { Inbox } from '../../support/inbox.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('versions');
const version = brokerVersion();
let broker: Backend;
let count = 0;

beforeAll(async () => {
  broker = await openRabbitMqBroker([amqpUrl()], {});
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

async function declare(options: QueueOptions = {}): Promise<QueueSpec> {
  const { spec } = defineQueue(`${prefix}-${++count}`, z.unknown(), options);
  await broker.declare(spec);
  return spec;
}

function publish(queue: QueueSpec, id: string, priority?: number): Promise<boolean> {
  const message = { id, contentType: 'text/plain', headers: {}, body: id, priority };
  return broker.publish({ exchange: '', routingKey: queue.name }, message);
}

/** What differs between the versions of RabbitMQ, and is listed in the README. */
describe(`RabbitMQ ${version.text}`, () => {
  it(`has ${version.quorumPriorities} levels of priority in a quorum queue`, async () => {
    const queue = await declare();
    for (const priority of [1, 9, 20]) await publish(queue, `priority ${priority}`, priority);
    const inbox = await Inbox.open(broker, queue.name, { prefetch: 1 });
    const byLevels = {
      32: ['priority 20', 'priority 9', 'priority 1'],
      2: ['priority 9', 'priority 20', 'priority 1'],
      1: ['priority 1', 'priority 9', 'priority 20'],
    };
    expect(await inbox.ackNext(3)).toEqual(byLevels[version.quorumPriorities]);
  });

  it(`${version.countsFailuresOnly ? 'does not count' : 'counts'} what is given back for the delivery limit of a quorum queue`, async () => {
    const queue = await declare({ deliveryLimit: 3 });
    await publish(queue, 'a');
    const inbox = await Inbox.open(broker, queue.name, { prefetch: 1 });
    for (let delivery = 1; delivery <= 4; delivery++) {
      const next = await inbox.next();
      expect(next.attempt).toBe(1);
      next.release();
    }
    if (version.countsFailuresOnly) {
      expect(await inbox.ackNext(1)).toEqual(['a']);
      return;
    }
    const dead = await (await Inbox.open(broker, `${queue.name}.dead`)).next();
    expect(deadLetterHistory(dead.message.headers)).toMatchObject({ reason: 'delivery-limit' });
    dead.ack();
  });

  it(`puts what is given back to a dead-letter queue ${version.countsFailuresOnly ? 'in its place' : 'at the end'}`, async () => {
    const queue = await declare();
    const dead = { ...queue, name: `${queue.name}.dead` };
    for (const id of ['a', 'b', 'c']) await publish(dead, id);
    const inbox = await Inbox.open(broker, dead.name, { prefetch: 1 });
    (await inbox.next()).release();
    expect(await inbox.ackNext(3)).toEqual(version.countsFailuresOnly ? ['a', 'b', 'c'] : ['b', 'c', 'a']);
  });

  it('puts what is given back to a quorum queue behind all that has come back before', async () => {
    const queue = await declare();
    const dead = { ...queue, name: `${queue.name}.dead` };
    for (const id of ['a', 'b', 'c']) await publish(dead, id);
    const all = await Inbox.open(broker, dead.name, { prefetch: 3 });
    await all.take(3);
    await all.subscription.close();
    const one = await Inbox.open(broker, dead.name, { prefetch: 1 });
    (await one.next()).release();
    expect(await one.ackNext(3)).toEqual(['b', 'c', 'a']);
  });
});
