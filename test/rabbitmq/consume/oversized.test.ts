import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { deadLetters } from '../../../src/dead-letters/dead-letters.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import {
  amqpUrl,
  brokerRunsInContainer,
  brokerVersion,
  rabbitmqctl,
  rawConnection,
  uniqueName,
} from '../../support/broker.js';
import { EventLog } from '../../support/event-log.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { removeQueues } from '../../support/remove-queues.js';

/** The default of 4.0 and later is above both, and no other test sends anything between them. */
const [LOWERED, LARGE] = [16_000_000, 16_400_000];

const prefix = uniqueName('oversized');
const queueOf = (name: string, options: QueueOptions<Uint8Array>) =>
  defineQueue(`${prefix} ${name}`, z.instanceof(Uint8Array), { codec: 'bytes', ...options });
const cases = [
  ['a quorum queue', queueOf('quorum', { type: 'quorum' })],
  ['a classic queue', queueOf('classic', { type: 'classic' })],
  ["another program's queue", queueOf('other', { type: 'classic', declare: 'if-missing' })],
] as const;
const anonymous = queueOf('anonymous', { type: 'classic' });
let broker: Backend;
let limit = '';

// Only 4.0 and later take another limit while they run, from rabbitmqctl in the broker's container.
const canLower = brokerRunsInContainer() && brokerVersion().limitsDeliveries;

async function setLimit(bytes: number | string) {
  await rabbitmqctl('eval', `persistent_term:put(max_message_size, ${bytes}).`);
}

beforeAll(async () => {
  if (!canLower) return;
  broker = await openRabbitMqBroker([amqpUrl()], { maxMessageBytes: 20_000_000 });
  limit = await rabbitmqctl('eval', 'persistent_term:get(max_message_size).');
  for (const [, queue] of cases) {
    await broker.declare(queue.spec);
    await broker.publish(
      { exchange: '', routingKey: queue.name },
      { id: 'large', contentType: 'application/octet-stream', headers: {}, body: Buffer.alloc(LARGE) },
    );
  }
  await broker.declare(anonymous.spec);
  const connection = await rawConnection();
  const channel = await connection.createConfirmChannel();
  channel.sendToQueue(anonymous.name, Buffer.alloc(LARGE));
  await channel.waitForConfirms();
  await connection.close();
  await setLimit(LOWERED);
});
afterAll(async () => {
  if (!canLower) return;
  await setLimit(limit);
  await broker.close();
  await removeQueues(prefix);
});

it.skipIf(!canLower).each(cases)(
  'a message over a limit that was lowered has its attempts, and is lost nowhere: %s',
  async (_, queue) => {
    const isOurs = queue.spec.declare === 'match';
    const log = new EventLog();
    const attempts: number[] = [];
    const consumer = createConsumer(
      broker,
      queue,
      (_value, { attempt }) => {
        attempts.push(attempt);
        throw new Error('no');
      },
      { retry: { delaysMs: [1, 1] }, observe: log.observe },
    );
    await consumer.start();
    if (isOurs) {
      const [dead] = await log.until('dead-lettered');
      expect(dead).toMatchObject({ attempt: 3, failure: { error: 'no' } });
      const letters = await eventually(async () => {
        const { deadLetters: found } = await deadLetters(broker, queue).list();
        return found.length > 0 && found;
      });
      expect(letters).toMatchObject([{ id: 'large', queue: queue.name, reason: 'rejected' }]);
    } else {
      const [failed] = await log.until('settle-failed');
      expect(failed).toMatchObject({ attempt: 3, error: { code: 'TOO_LARGE' } });
      expect(failed?.error.message).toContain('max_message_size');
    }
    // It waits for the next try where it is, which is no reason to wait for it.
    await consumer.stop();
    expect(attempts).toEqual([1, 2, 3]);
    expect(log.of('retried')).toHaveLength(2);
    const left = isOurs ? 0 : 1;
    await untilAsserted(async () => expect((await broker.inspect(queue.name)).ready).toBe(left));
  },
);

it.skipIf(!canLower)(
  'the attempts at one that another client sent without an id are counted, too',
  async () => {
    const log = new EventLog();
    const attempts: number[] = [];
    const consumer = createConsumer(
      broker,
      anonymous,
      (_value, { attempt }) => {
        attempts.push(attempt);
        throw new Error('no');
      },
      { retry: { delaysMs: [1, 1] }, observe: log.observe },
    );
    await consumer.start();
    await log.until('dead-lettered');
    await consumer.stop();
    expect(attempts).toEqual([1, 2, 3]);
  },
);
