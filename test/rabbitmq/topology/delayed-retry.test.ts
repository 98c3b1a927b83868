import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Backend, Message } from '../../../src/broker.js';
import { deadLetterHistory } from '../../../src/common/message/dead-letter-headers.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { RejectMessage } from '../../../src/errors.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { amqpUrl, brokerVersion, rawConnection, uniqueName } from '../../support/broker.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('delayed-retry');
const failure = { code: 'failed', error: 'connection refused' } as const;
let broker: Backend;
/** Whether the server can do it; otherwise all of this is done by wait queues. */
let delays: boolean;
let count = 0;

beforeAll(async () => {
  broker = await openRabbitMqBroker([amqpUrl()], {});
  delays = brokerVersion().delaysRetries;
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

function define(options: QueueOptions, name = `${prefix}-${++count}`) {
  return defineQueue(name, z.unknown(), options);
}

const plain = (id: string): Message => ({ id, contentType: 'text/plain', headers: {}, body: 'x' });

async function publish(queue: string, id: string): Promise<void> {
  await broker.publish({ exchange: '', routingKey: queue }, plain(id));
}

async function isThere(queue: string): Promise<boolean> {
  try {
    await broker.inspect(queue);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'QUEUE_MISSING' });
    return false;
  }
}

describe('a queue defined with delayedRetry', () => {
  it('delays the retries of a consumer without a policy, with no wait queue where the server can', async () => {
    const queue = define({ delayedRetry: { minMs: 60, maxMs: 100 } });
    const attempts: [number, number][] = [];
    const log = new EventLog();
    const { observe } = log;
    const consumer = createConsumer(
      broker,
      queue,
      (_, { attempt }) => {
        attempts.push([attempt, performance.now()]);
        throw new Error(`no ${attempt}`);
      },
      { observe },
    );
    await consumer.start();
    await createProducer(broker, queue).send('a');
    await log.until('dead-lettered');
    await log.until('retried', 3);
    await consumer.stop();

    expect(log.of('retried').map(({ delayMs }) => delayMs)).toEqual([60, 100, 100]);
    expect(attempts.map(([attempt]) => attempt)).toEqual([1, 2, 3, 4]);
    const waits = attempts.slice(1).map(([, at], index) => at - (attempts[index]?.[1] ?? 0));
    // Timers of two programs: a millisecond may be lost between them.
    for (const [index, least] of [58, 98, 98].entries()) expect(waits[index]).toBeGreaterThan(least);
    for (const delayMs of [60, 100]) expect(await isThere(`${queue.name}.retry.${delayMs}`)).toBe(!delays);

    const dead = await (await Inbox.open(broker, `${queue.name}.dead`)).next();
    expect(deadLetterHistory(dead.message.headers)).toMatchObject({
      reason: 'failed',
      attempts: 4,
      error: 'no 4',
      // What a queue delays itself it keeps as it was sent.
      firstError: delays ? 'no 4' : 'no 1',
    });
  });

  it('leaves a retry after another delay to a wait queue, where attempts go on counting', async () => {
    const queue = define({ delayedRetry: { minMs: 50 } });
    await broker.declare(queue.spec);
    await publish(queue.name, 'a');
    const inbox = await Inbox.open(broker, queue.name);
    const seen: number[] = [];
    for (const delayMs of [50, 30, 50, 0, 50]) {
      const delivery = await inbox.next();
      seen.push(delivery.attempt);
      await delivery.retry(delayMs, failure);
    }
    const last = await inbox.next();
    expect([...seen, last.attempt]).toEqual([1, 2, 3, 4, 5, 6]);
    last.ack();
    expect(await isThere(`${queue.name}.retry.step.30`)).toBe(true);
    expect(await isThere(`${queue.name}.retry.step.50`)).toBe(!delays);
  });

  it('is no match for one that delays otherwise', async () => {
    const queue = define({ delayedRetry: { minMs: 50 } });
    await broker.declare(queue.spec);
    const other = define({ delayedRetry: { minMs: 70 } }, queue.name);
    if (delays) {
      const { message } = await rejection(broker.declare(other.spec), 'QUEUE_MISMATCH');
      expect(message).toContain('x-delayed-retry-min is 50 there and 70 here');
    } else {
      await broker.declare(other.spec);
    }
  });

  it('that was there without it is taken, and retries by wait queues', async () => {
    const queue = define({});
    await broker.declare(queue.spec);
    await broker.declare(define({ delayedRetry: { minMs: 50 } }, queue.name).spec);
    await publish(queue.name, 'a');
    const inbox = await Inbox.open(broker, queue.name);
    await (await inbox.next()).retry(50, failure);
    const again = await inbox.next();
    expect(again.message.headers).toMatchObject({ 'x-millrace-error': 'connection refused' });
    again.ack();
    expect(await isThere(`${queue.name}.retry.step.50`)).toBe(true);
  });

  it('that was there without it, and differs besides, is a mismatch', async () => {
    const queue = define({ capacity: 5 });
    await broker.declare(queue.spec);
    const other = define({ capacity: 6, delayedRetry: { minMs: 50 } }, queue.name);
    await rejection(broker.declare(other.spec), 'QUEUE_MISMATCH');
  });

  it('does not let the delivery limit cut a policy short', async () => {
    const queue = define({ delayedRetry: { minMs: 20 }, deliveryLimit: 4 });
    const log = new EventLog();
    const consumer = createConsumer(
      broker,
      queue,
      (_, { attempt }) => {
        throw attempt === 13 ? new RejectMessage('enough') : new Error(`no ${attempt}`);
      },
      { retry: { delaysMs: Array.from({ length: 20 }, () => 20) }, observe: log.observe },
    );
    await consumer.start();
    await createProducer(broker, queue).send('a');
    await log.until('dead-lettered');
    await consumer.stop();
    const dead = await (await Inbox.open(broker, `${queue.name}.dead`)).next();
    expect(deadLetterHistory(dead.message.headers)).toMatchObject({ reason: 'rejected', attempts: 13 });
  });

  it('does not count what waits in it, and takes it back at no cost without a wait', async () => {
    const queue = define({ delayedRetry: { minMs: 20_000 }, capacity: 1 });
    await broker.declare(queue.spec);
    await publish(queue.name, 'a');
    const inbox = await Inbox.open(broker, queue.name);
    const first = await inbox.next();
    first.release();
    const again = await inbox.next();
    expect(again.attempt).toBe(1);
    await again.retry(20_000, failure);
    await publish(queue.name, 'b');
    expect(await inbox.ackNext(1)).toEqual(['b']);
    expect(await broker.inspect(queue.name)).toMatchObject({ ready: 0, consumers: 1 });
  });
});

describe('a message that waits for its retry', () => {
  it.each(['quorum', 'classic'] as const)('comes as soon as its %s queue is there again', async (type) => {
    const queue = define({ type, deadLetter: false });
    await broker.declare(queue.spec);
    const first = await Inbox.open(broker, queue.name);
    await publish(queue.name, 'first');
    await (await first.next()).retry(20, failure);
    (await first.next()).ack();
    await first.subscription.close();
    const ready = `${queue.name}.retry.ready`;
    await eventually(async () => (await broker.inspect(ready)).consumers === 0);
    const raw = await (await rawConnection()).createChannel();
    await raw.deleteQueue(queue.name);
    // As retried messages that nobody attends to while their queue is gone.
    const ids = ['a', 'b', 'c'];
    for (const messageId of ids) {
      const options = { messageId, headers: { 'x-millrace-attempt': '2' } };
      raw.sendToQueue(`${queue.name}.retry.step.20`, Buffer.from('x'), options);
    }
    // The broker itself would now try again after three minutes.
    await eventually(async () => (await broker.inspect(ready)).ready === 3);
    await rejection(broker.publish({ exchange: '', routingKey: queue.name }, plain('probe')), 'UNROUTABLE');
    await broker.declare(queue.spec);
    const again = await Inbox.open(broker, queue.name);
    const deliveries = await again.take(3);
    expect(deliveries.map(({ message, attempt }) => [message.id, attempt])).toEqual(ids.map((id) => [id, 2]));
    for (const delivery of deliveries) delivery.ack();
    await again.subscription.close();
  });

  it('comes to another consumer when the one that failed is gone', async () => {
    const queue = define({ deadLetter: false });
    const own = await openRabbitMqBroker([amqpUrl()], {});
    await own.declare(queue.spec);
    const first = await Inbox.open(own, queue.name);
    await publish(queue.name, 'a');
    await (await first.next()).retry(300, failure);
    await own.close();
    await broker.declare(queue.spec);
    const second = await Inbox.open(broker, queue.name);
    const delivery = await second.next();
    expect(delivery).toMatchObject({ attempt: 2 });
    delivery.ack();
    await second.subscription.close();
  });
});
