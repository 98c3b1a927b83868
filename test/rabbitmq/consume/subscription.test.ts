import type { Channel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Backend, BrokerEvent, Delivery, Message, QueueSpec } from '../../../src/broker.js';
import { Deferred } from '../../../src/common/waiting/waiting.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import type { RabbitMqOptions } from '../../../src/rabbitmq/options.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import {
  amqpUrl,
  brokerVersion,
  closeConnectionsByName,
  rawConnection,
  uniqueName,
} from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';
import { recordWarnings } from '../../support/warnings.js';

const prefix = uniqueName('subscription');
const failure = { code: 'failed', error: 'not today' } as const;
let broker: Backend;
let raw: Channel;
let count = 0;

beforeAll(async () => {
  broker = await openRabbitMqBroker([amqpUrl()], {});
  raw = await (await rawConnection()).createChannel();
});
afterAll(async () => {
  await broker.close();
  await removeQueues(prefix);
});

async function open(options: RabbitMqOptions = {}, url = amqpUrl()): Promise<Backend> {
  const opened = await openRabbitMqBroker([url], options);
  onTestFinished(() => opened.close());
  return opened;
}

async function declare(options: QueueOptions = {}, on = broker): Promise<QueueSpec> {
  const { spec } = defineQueue(`${prefix}-${++count}`, z.unknown(), options);
  await on.declare(spec);
  return spec;
}

async function publish(queue: QueueSpec, ids: readonly string[]): Promise<void> {
  const message = (id: string): Message => ({ id, contentType: 'text/plain', headers: {}, body: id });
  for (const id of ids) await broker.publish({ exchange: '', routingKey: queue.name }, message(id));
}

const numbered = (length: number) => Array.from({ length }, (_, index) => `m${index}`);

describe('acknowledgements', () => {
  it('sent together never include an unsettled message: only those are redelivered', async () => {
    const queue = await declare();
    await publish(queue, numbered(40));
    const inbox = await Inbox.open(broker, queue.name, { prefetch: 40 });
    const deliveries = await inbox.take(40);
    const kept = new Set(['m0', 'm7', 'm8', 'm21', 'm39']);
    // Backwards, so that none is the next in order.
    for (const delivery of deliveries.reverse()) if (!kept.has(delivery.message.id)) delivery.ack();
    await inbox.subscription.close();
    const again = await (await Inbox.open(broker, queue.name)).take(kept.size);
    expect(new Set(idsOf(again))).toEqual(kept);
    expect(again.every(({ redelivered }) => redelivered)).toBe(true);
    for (const delivery of again) delivery.ack();
    await eventually(async () => (await broker.inspect(queue.name)).ready === 0);
  });
});

describe('a subscription', () => {
  it('that is cancelled closes at once, also if others have begun and been cancelled since', async () => {
    const queue = await declare();
    await publish(queue, numbered(4));
    const inboxes: Inbox[] = [];
    for (let index = 0; index < 4; index++) {
      const inbox = await Inbox.open(broker, queue.name, { prefetch: 1 });
      await inbox.take(1);
      await inbox.subscription.cancel();
      inboxes.push(inbox);
    }
    let answers = 0;
    let isClosed = false;
    const closing = inboxes[0]?.subscription.close().then(() => {
      isClosed = true;
    });
    for (; !isClosed && answers < 100; answers++) await broker.inspect(queue.name);
    expect(answers).toBeLessThan(100);
    await closing;
    for (const { subscription } of inboxes) await subscription.close();
  });

  it('that the broker cancels because its queue is deleted declares the queue again and continues', async () => {
    const events: BrokerEvent[] = [];
    const own = await open({ observe: (event) => events.push(event) });
    const queue = await declare({}, own);
    const inbox = await Inbox.open(own, queue.name);
    await raw.deleteQueue(queue.name);
    await eventually(() => events.some(({ type }) => type === 'resubscribed'));
    await publish(queue, ['after']);
    expect(await inbox.ackNext(1)).toEqual(['after']);
    expect(events.find(({ type }) => type === 'unsubscribed')).toMatchObject({ queue: queue.name });
    const times = (wanted: BrokerEvent['type']) => events.filter(({ type }) => type === wanted).length;
    expect(own.counts).toEqual({
      resent: 0,
      disconnected: 0,
      blocked: 0,
      unsubscribed: times('unsubscribed'),
      resubscribed: times('resubscribed'),
    });
  });

  it.each(['quorum', 'classic'] as const)(
    'that the broker cancels says so, and not what it was refused afterwards: %s',
    async (type) => {
      const events: BrokerEvent[] = [];
      const own = await open({ observe: (event) => events.push(event) });
      const singleActive = { 'x-single-active-consumer': true };
      for (const more of [{}, { arguments: singleActive }]) {
        const queue = await declare({ type, ...more }, own);
        await publish(queue, ['held']);
        const delivered = new Deferred();
        const lost = new Deferred<Error>();
        const onLost = (_: Delivery, reason: Error) => lost.resolve(reason);
        await own.subscribe(queue.name, { prefetch: 1, onLost }, () => delivered.resolve());
        await delivered.promise;
        await raw.deleteQueue(queue.name);
        expect((await lost.promise).message).toContain(
          `the broker cancelled the consumer of '${queue.name}'`,
        );
        const isItsEnd = (event: BrokerEvent) => event.type === 'unsubscribed' && event.queue === queue.name;
        await eventually(() => events.some(isItsEnd));
        expect(events.find(isItsEnd)).toMatchObject({ reason: await lost.promise });
      }
    },
  );

  it('that the broker cancels ends with QUEUE_MISSING where the queue is not ours to make', async () => {
    const name = `${prefix}-foreign`;
    await raw.assertQueue(name, { arguments: { 'x-queue-type': 'quorum' } });
    const { spec } = defineQueue(name, z.unknown(), { declare: 'existing' });
    await broker.declare(spec);
    const inbox = await Inbox.open(broker, name);
    await raw.deleteQueue(name);
    const error = await rejection(inbox.subscription.ended, 'QUEUE_MISSING');
    expect(error.message).toContain(name);
    await inbox.subscription.close();
  });

  // Before 4.3 the broker looks once a minute, and knows no time-out of single queues before 3.12.
  it.skipIf(!brokerVersion().countsFailuresOnly)(
    'that the broker cancels because a delivery took too long goes on, and the late settlement hurts nobody',
    async () => {
      const queue = await declare({ arguments: { 'x-consumer-timeout': 1000 } });
      await publish(queue, ['slow']);
      const inbox = await Inbox.open(broker, queue.name, { prefetch: 1 });
      const slow = await inbox.next();
      const again = await inbox.next();
      expect(idsOf(inbox.lost)).toEqual(['slow']);
      slow.ack();
      expect(again.message.id).toBe('slow');
      again.ack();
      await publish(queue, ['next']);
      expect(await inbox.ackNext(1)).toEqual(['next']);
      await eventually(async () => (await broker.inspect(queue.name)).consumers === 1);
      await inbox.subscription.close();
    },
  );

  it('goes on after a lost connection, and loses what it held to another try', async () => {
    const connectionName = uniqueName('subscription');
    const own = await open({ connectionName });
    const queue = await declare({}, own);
    await publish(queue, ['a', 'b']);
    const inbox = await Inbox.open(own, queue.name);
    const [a] = await inbox.take(2);
    await closeConnectionsByName(`${connectionName} (consume)`);
    const again = await inbox.take(2);
    expect(idsOf(inbox.lost).sort()).toEqual(['a', 'b']);
    // Those were failures of this consumer, as far as the broker knows; before 4.3 it counts them with the returns.
    const attempt = brokerVersion().countsFailuresOnly ? 2 : 1;
    expect(again).toMatchObject([
      { attempt, redelivered: true },
      { attempt, redelivered: true },
    ]);
    // A settlement of the lost one reaches nobody.
    a?.ack();
    for (const delivery of again) delivery.ack();
    await publish(queue, ['c']);
    expect(await inbox.ackNext(1)).toEqual(['c']);
  });

  it.each(['quorum', 'classic'] as const)(
    'of a greater priority to a %s queue is handed what it has room for, and others the rest',
    async (type) => {
      const queue = await declare({ type });
      const low = await Inbox.open(broker, queue.name, { prefetch: 10 });
      const high = await Inbox.open(broker, queue.name, { prefetch: 3, priority: 5 });
      await publish(queue, numbered(5));
      expect(idsOf(await high.take(3))).toEqual(['m0', 'm1', 'm2']);
      expect(idsOf(await low.take(2))).toEqual(['m3', 'm4']);
      await Promise.all([low.subscription.close(), high.subscription.close()]);
    },
  );

  it('closes in time while its deliveries are unsettled', async () => {
    const queue = await declare();
    await publish(queue, numbered(5));
    const inbox = await Inbox.open(broker, queue.name, { prefetch: 3 });
    const deliveries = await inbox.take(3);
    await inbox.subscription.close();
    // Given back, not lost: whoever closes it knows.
    expect(inbox.lost).toEqual([]);
    for (const delivery of deliveries) delivery.ack();
    await eventually(async () => (await broker.inspect(queue.name)).ready === 5);
  });

  it('to a queue that was deleted since it was declared here declares it again, dead letters and all', async () => {
    const queue = await declare();
    for (const name of [queue.name, `${queue.name}.dead`]) await raw.deleteQueue(name);
    const inbox = await Inbox.open(broker, queue.name);
    await publish(queue, ['a']);
    await (await inbox.next()).deadLetter(failure);
    await eventually(async () => (await broker.inspect(`${queue.name}.dead`)).ready === 1);
    await inbox.subscription.close();
  });

  it('to a queue that was removed here is QUEUE_MISSING', async () => {
    const queue = await declare();
    await broker.remove(queue.name);
    await rejection(Inbox.open(broker, queue.name), 'QUEUE_MISSING');
  });

  it('to a queue that is not there is QUEUE_MISSING', async () => {
    await rejection(Inbox.open(broker, `${prefix}-none`), 'QUEUE_MISSING');
    await rejection(Inbox.open(broker, `${prefix}-none`, { prefetch: 0 }), 'INVALID_OPTION');
  });

  it("outlives a subscriber's exception, and the message is redelivered as a failure", async () => {
    const queue = await declare();
    await publish(queue, ['a']);
    const warnings = recordWarnings('MILLRACE_SUBSCRIBER');
    const attempts: number[] = [];
    const subscription = await broker.subscribe(queue.name, { prefetch: 1 }, (delivery) => {
      attempts.push(delivery.attempt);
      if (attempts.length === 1) throw new Error('a subscriber of little care');
      delivery.ack();
    });
    await eventually(() => attempts.length === 2);
    expect(attempts).toEqual([1, brokerVersion().countsFailuresOnly ? 2 : 1]);
    await eventually(() => warnings.some(({ message }) => message.includes('little care')));
    await subscription.close();
  });
});

/** A broker behind a proxy, and a promise of its next connection for consumers, at which `onConnected` is called. */
async function openCutable() {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const events: BrokerEvent[] = [];
  let onConnected = () => {};
  const far = await open(
    {
      reconnect: { initialDelayMs: 20, maxDelayMs: 100 },
      observe: (event) => {
        events.push(event);
        if (event.type === 'connected' && event.connection === 'consume') onConnected();
      },
    },
    proxy.url(amqpUrl()),
  );
  const reconnected = (then: () => void) =>
    new Promise<void>((resolve) => {
      onConnected = () => {
        then();
        resolve();
      };
    });
  /** Cuts the links; until `repair` there are none. */
  const cut = async () => {
    await proxy.refuse(true);
    proxy.cut();
  };
  return { far, proxy, events, reconnected, cut, repair: () => proxy.refuse(false) };
}

describe('a subscription that begins again after a lost connection', () => {
  it('takes no message if it was closed before its consumer began, and says nothing of it', async () => {
    const { far, proxy, events, reconnected, cut, repair } = await openCutable();
    const queue = await declare();
    const inbox = await Inbox.open(far, queue.name);
    const opening = reconnected(() => proxy.freeze());
    await cut();
    // The broker delivers to the lost consumer until it has noticed, and marks what comes back.
    await eventually(async () => (await raw.checkQueue(queue.name)).consumerCount === 0);
    await publish(queue, numbered(3));
    await repair();
    await opening;
    // Its channel is being opened now, and no answer comes.
    await new Promise(setImmediate);
    const closing = inbox.subscription.close();
    proxy.thaw();
    await closing;
    for (let answer = 0; answer < 4; answer++) await far.inspect(queue.name);
    for (const id of numbered(3)) {
      const message = await eventually(() => raw.get(queue.name));
      expect(message.properties.messageId).toBe(id);
      expect(message.fields.redelivered).toBe(false);
      expect(message.properties.headers?.['x-delivery-count'] ?? 0).toBe(0);
      raw.ack(message);
    }
    expect(events.map(({ type }) => type)).not.toContain('resubscribed');
    expect(inbox.deliveries).toEqual([]);
  });

  it('may be cancelled by its first delivery, which is settled all the same', async () => {
    const { far, cut, repair } = await openCutable();
    const queue = await declare();
    const lost: unknown[] = [];
    const delivered: string[] = [];
    const subscription = await far.subscribe(
      queue.name,
      { prefetch: 1, onLost: (delivery) => lost.push(delivery) },
      (delivery) => {
        delivered.push(delivery.message.id);
        void subscription.cancel();
        delivery.ack();
      },
    );
    await cut();
    await publish(queue, ['m']);
    await repair();
    await eventually(() => delivered.length > 0);
    await subscription.close();
    expect(await far.inspect(queue.name)).toMatchObject({ ready: 0, consumers: 0 });
    expect({ delivered, lost }).toEqual({ delivered: ['m'], lost: [] });
  });
});

describe('a retry', () => {
  it('keeps the types of the headers that a foreign sender set, and what is left of its time', async () => {
    const queue = await declare();
    const headers = { number: 5, yes: true, list: ['a', 1] };
    raw.sendToQueue(queue.name, Buffer.from('x'), {
      headers,
      messageId: 'foreign',
      expiration: 60_000,
      appId: 'shop',
    });
    const inbox = await Inbox.open(broker, queue.name);
    await (await inbox.next()).retry(100, failure);
    const again = await inbox.next();
    expect(again).toMatchObject({ attempt: 2, redelivered: true });
    await inbox.subscription.close();
    const received = await eventually(() => raw.get(queue.name, { noAck: true }));
    expect(received.properties).toMatchObject({ appId: 'shop', messageId: 'foreign' });
    const left = Number(received.properties.expiration);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThan(60_000);
    expect(received.properties.headers).toMatchObject(headers);
  });

  it('gives a foreign message without an id one, which it keeps', async () => {
    const queue = await declare();
    raw.sendToQueue(queue.name, Buffer.from('x'));
    const inbox = await Inbox.open(broker, queue.name);
    const first = await inbox.next();
    await first.retry(0, failure);
    const second = await inbox.next();
    expect(second.message.id).toBe(first.message.id);
    second.ack();
  });

  it('finds its wait queue again when somebody deleted it', async () => {
    const queue = await declare();
    await publish(queue, ['a']);
    const inbox = await Inbox.open(broker, queue.name);
    await (await inbox.next()).retry(50, failure);
    const second = await inbox.next();
    await raw.deleteQueue(`${queue.name}.retry.step.50`);
    await second.retry(50, failure);
    const third = await inbox.next();
    expect(third.attempt).toBe(3);
    third.ack();
  });

  it.each([
    ['without', undefined],
    ['with', 5],
  ] as const)(
    'of a queue %s a capacity comes though somebody deleted the queue that it passes through',
    async (_, capacity) => {
      const queue = await declare({ capacity });
      const passage = `${queue.name}.retry.ready`;
      const attended = () =>
        broker.inspect(passage).then(
          ({ consumers }) => consumers === 1,
          () => false,
        );
      await publish(queue, ['a', 'b']);
      const inbox = await Inbox.open(broker, queue.name);
      const [a, b] = await inbox.take(2);
      await a?.retry(1, failure);
      await (await inbox.next()).ack();
      await eventually(attended);
      await raw.deleteQueue(passage);
      await eventually(attended);
      await b?.retry(1, failure);
      expect(await inbox.next()).toMatchObject({ message: { id: 'b' }, attempt: 2 });
      await inbox.subscription.close();
    },
  );

  it('into a queue that is full comes when there is room, and not minutes later', async () => {
    const queue = await declare({ type: 'classic', capacity: 2 });
    await publish(queue, ['a']);
    const inbox = await Inbox.open(broker, queue.name, { prefetch: 1 });
    const a = await inbox.next();
    await publish(queue, ['b', 'c']);
    const waiting = publish(queue, ['d']);
    await a.retry(50, failure);
    const ids = await inbox.ackNext(4);
    await waiting;
    expect(ids.sort()).toEqual(['a', 'b', 'c', 'd']);
    expect(
      inbox.deliveries.filter(({ message }) => message.id === 'a').map(({ attempt }) => attempt),
    ).toEqual([1, 2]);
  });
});

describe('the first retry of a new queue', () => {
  it.each([
    ['leaves a message unsettled', async (inbox: Inbox) => void (await inbox.next())],
    ['redelivers another retried message', async (inbox: Inbox) => (await inbox.next()).retry(0, failure)],
  ])(
    'is attended by a process that subscribed before, when the one that made it ends and %s',
    async (_, leave) => {
      const queue = await declare();
      const dying = await open();
      const first = await Inbox.open(dying, queue.name, { prefetch: 2 });
      await publish(queue, ['retried', 'other']);
      const retried = await first.next();
      const second = await Inbox.open(broker, queue.name);
      await retried.retry(1_800_000, failure);
      await leave(first);
      await dying.close();
      expect(await second.ackNext(1)).toEqual(['other']);
      await eventually(async () => (await broker.inspect(`${queue.name}.retry.ready`)).consumers === 1);
      await second.subscription.close();
    },
  );

  it('leaves the connection up, though its queues are looked for and declared at the same time', async () => {
    const rounds = Array.from({ length: 10 });
    const retryFirst = async (own: Backend) => {
      const queue = await declare({ type: 'classic' }, own);
      await publish(queue, ['m']);
      const inbox = await Inbox.open(own, queue.name);
      await (await inbox.next()).retry(5, failure);
      const again = await inbox.next();
      expect(again.attempt).toBe(2);
      again.ack();
      await inbox.subscription.close();
    };
    // Several at once, so that the broker is slow now and then.
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        const own = await open();
        for (const _ of rounds) await retryFirst(own);
        expect(own.counts.disconnected).toBe(0);
      }),
    );
  });
});

describe('a dead letter', () => {
  it('goes to <queue>.dead where the queue was never declared here', async () => {
    const name = `${prefix}-subscribed-only`;
    await raw.assertQueue(name, { arguments: { 'x-queue-type': 'classic' } });
    raw.sendToQueue(name, Buffer.from('x'), { messageId: 'hopeless', headers: { a: 1 } });
    const own = await open();
    const inbox = await Inbox.open(own, name);
    await (await inbox.next()).deadLetter({ code: 'rejected', error: 'never' });
    const dead = await raw.get(`${name}.dead`, { noAck: true });
    if (dead === false) throw new Error('there is no dead letter');
    expect(dead.properties.messageId).toBe('hopeless');
    expect(dead.properties.headers).toMatchObject({
      a: 1,
      'x-millrace-reason': 'rejected',
      'x-millrace-error': 'never',
      'x-millrace-queue': name,
      'x-millrace-attempts': '1',
    });
  });

  it('of the broker itself, after too many failures, reads as one of the toolkit', async () => {
    const queue = await declare({ deliveryLimit: 2 });
    raw.sendToQueue(queue.name, Buffer.from('x'), { messageId: 'deadly' });
    const connection = await rawConnection();
    const channel = await connection.createChannel();
    for (let attempt = 1; attempt <= 3; attempt++) {
      const message = await eventually(() => channel.get(queue.name));
      channel.reject(message, true);
    }
    const delivery = await (await Inbox.open(broker, `${queue.name}.dead`)).next();
    expect(delivery.message.id).toBe('deadly');
    expect(delivery.message.headers).toMatchObject({
      'x-millrace-reason': 'delivery-limit',
      'x-millrace-queue': queue.name,
    });
    delivery.ack();
  });

  it('is made in time where the broker would drop the message: a shared queue has no place for its own', async () => {
    const queue = await declare({ declare: 'if-missing', deliveryLimit: 2, deadLetter: true });
    raw.sendToQueue(queue.name, Buffer.from('x'), { messageId: 'deadly' });
    for (let attempt = 1; attempt <= 2; attempt++) {
      const received = await eventually(() => raw.get(queue.name));
      raw.reject(received, true);
    }
    await publish(queue, ['harmless']);
    const inbox = await Inbox.open(broker, queue.name);
    expect(await inbox.ackNext(1)).toEqual(['harmless']);
    await eventually(async () => (await broker.inspect(`${queue.name}.dead`)).ready === 1);
    const dead = await (await Inbox.open(broker, `${queue.name}.dead`)).next();
    expect(dead.message).toMatchObject({ id: 'deadly', headers: { 'x-millrace-reason': 'delivery-limit' } });
    dead.ack();
  });

  it('that is refused is tried again, and the message never returns to a queue that would drop it', async () => {
    const queue = await declare({ declare: 'if-missing', deliveryLimit: 2, deadLetter: true });
    raw.sendToQueue(queue.name, Buffer.from('x'), { messageId: 'deadly' });
    for (let attempt = 1; attempt <= 2; attempt++) {
      const received = await eventually(() => raw.get(queue.name));
      raw.reject(received, true);
    }
    const holder = await rawConnection();
    await (await holder.createChannel()).assertQueue(`${queue.name}.dead`, { exclusive: true });
    const events: BrokerEvent[] = [];
    const own = await open({ observe: (event) => events.push(event) });
    await own.declare(queue);
    const inbox = await Inbox.open(own, queue.name);
    await eventually(() => events.some(({ type }) => type === 'settle-failed'));
    await holder.close();
    await eventually(async () => {
      const { ready } = await broker.inspect(`${queue.name}.dead`).catch(() => ({ ready: 0 }));
      return ready === 1;
    });
    expect(inbox.deliveries).toEqual([]);
  });

  it('is not made by a subscriber that only inspects messages', async () => {
    const queue = await declare({ declare: 'if-missing', deliveryLimit: 2, deadLetter: true });
    raw.sendToQueue(queue.name, Buffer.from('x'), { messageId: 'deadly' });
    for (let attempt = 1; attempt <= 2; attempt++) {
      const received = await eventually(() => raw.get(queue.name));
      raw.reject(received, true);
    }
    const inbox = await Inbox.open(broker, queue.name, { sparesLimit: true });
    // Put at the end of its queue, it has its deliveries before it again.
    expect((await inbox.next()).message.id).toBe('deadly');
    await inbox.subscription.close();
    await eventually(async () => (await broker.inspect(queue.name)).ready === 1);
    await rejection(broker.inspect(`${queue.name}.dead`), 'QUEUE_MISSING');
  });
});
