import { expect, test } from 'vitest';
import type { BrokerEvent } from '../../../src/broker.js';
import { operatorOf } from '../../../src/common/backend-of.js';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { connect } from '../../support/connect.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { Inbox } from '../../support/inbox.js';
import { rejection } from '../../support/rejection.js';
import { inDatabase, newFolder, plainQueue } from './folders.js';
import { Actor } from './several-processes/actor.js';

const to = (queue: string) => ({ exchange: '', routingKey: queue });
const message = (id: string) => ({ id, contentType: '', headers: {}, body: id });

test('a newer definition changes capacity, delivery limit and dead letters, and emits an event', async () => {
  const folder = newFolder();
  const events: BrokerEvent[] = [];
  const broker = await connect(`local:${folder}`, { observe: (event) => events.push(event) });
  await broker.declare(plainQueue('orders', { capacity: 2 }));
  await broker.declare(plainQueue('orders', { capacity: 2 }));
  expect(events).toEqual([]);
  await broker.declare(
    plainQueue('orders', { capacity: Number.POSITIVE_INFINITY, deliveryLimit: 3, deadLetter: 'bad-orders' }),
  );
  expect(events).toEqual([
    { type: 'redefined', queue: 'orders', change: "capacity of 'orders' from 2 to Infinity" },
    {
      type: 'redefined',
      queue: 'orders',
      change: 'deadLetter of \'orders\' from "orders.dead" to "bad-orders"',
    },
    { type: 'redefined', queue: 'orders', change: "deliveryLimit of 'orders' from 20 to 3" },
  ]);
  for (const id of ['a', 'b', 'c']) await broker.publish(to('orders'), message(id));
  await broker.close();
  // For good.
  const again = await openDiskBroker(folder);
  await again.declare(plainQueue('orders', { declare: 'existing' }));
  await again.publish(to('orders'), message('d'), { noWait: true });
  await again.close();
});

test('a send that waits for room continues when another process enlarges or removes the queue', async () => {
  const folder = newFolder();
  const sender = await Actor.open(folder);
  await sender.tell('declare', { spec: plainQueue('orders', { capacity: 1 }) });
  await sender.tell('publish', { queue: 'orders', ids: ['a'] });
  sender.begin('publish', { queue: 'orders', ids: ['b'] });
  const broker = await openDiskBroker(folder);
  await eventually(() => rejection(broker.publish(to('orders'), message('x'), { noWait: true }), 'FULL'));
  await broker.declare(plainQueue('orders', { capacity: 2 }));
  await sender.outcome('publish');
  sender.begin('publish', { queue: 'orders', ids: ['c'] });
  const worker = await Actor.open(folder);
  await worker.tell('subscribe', { queue: 'orders', prefetch: 1 });
  await worker.delivery();
  await broker.remove('orders');
  await expect(sender.outcome('publish')).rejects.toMatchObject({ code: 'UNROUTABLE' });
  expect(await worker.ending()).toMatchObject({ code: 'QUEUE_MISSING' });
  await broker.close();
});

test('a queue that is removed takes all that it holds along, ready, handled and delayed', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('orders', { deadLetter: false }));
  await Promise.all(
    Array.from({ length: 2500 }, (_, index) => broker.publish(to('orders'), message(`${index}`))),
  );
  let retried: Promise<void> | undefined;
  const subscription = await broker.subscribe('orders', { prefetch: 2 }, (delivery) => {
    retried ??= delivery.retry(60_000, { code: 'failed', error: 'again' });
  });
  await eventually(() => retried !== undefined);
  await retried;
  await broker.remove('orders');
  await rejection(subscription.ended, 'QUEUE_MISSING');
  // Removed bit by bit, in transactions that are asked for by whatever comes.
  await broker.declare(plainQueue('orders', { deadLetter: false }));
  await untilAsserted(async () =>
    expect(await broker.inspect('orders')).toMatchObject({ ready: 0, consumers: 0 }),
  );
  await broker.close();
  expect(inDatabase(folder, 'SELECT count(*) AS count FROM messages')).toEqual([{ count: 0 }]);
  expect(inDatabase(folder, 'SELECT count(*) AS count FROM queues')).toEqual([{ count: 1 }]);
});

test('a dead-letter queue that was removed is created again for the next dead letter', async () => {
  const broker = await openDiskBroker(newFolder());
  await broker.declare(
    plainQueue('orders', { capacity: 5, deadLetter: { queue: 'bad-orders', capacity: 1 } }),
  );
  const failure = { code: 'failed', error: 'no' } as const;
  const inbox = await Inbox.open(broker, 'orders', { prefetch: 5 });
  for (const id of ['a', 'b', 'c']) await broker.publish(to('orders'), message(id));
  const [a, b, c] = await inbox.take(3);
  await a?.deadLetter(failure);
  const waiting = b?.deadLetter(failure);
  await rejection(broker.publish(to('bad-orders'), message('x'), { noWait: true }), 'FULL');
  await broker.remove('bad-orders');
  // The one that waited for room in it does not wait for ever.
  await waiting;
  expect(await broker.inspect('bad-orders')).toMatchObject({ ready: 1 });
  await broker.remove('bad-orders');
  await c?.deadLetter(failure);
  expect(await broker.inspect('bad-orders')).toMatchObject({ ready: 1 });
  await rejection(broker.publish(to('bad-orders'), message('x'), { noWait: true }), 'FULL');
  await broker.remove('bad-orders');
  await inbox.subscription.close();
  await broker.publish(to('orders'), { ...message('d'), expiresAt: Date.now() + 1 });
  await eventually(async () =>
    (await operatorOf(broker).queues()).queues.some(({ name }) => name === 'bad-orders'),
  );
  await broker.close();
});

test('a reply queue that another program removes is not declared again: its requests are lost, and told so', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  const other = await openDiskBroker(folder);
  const losses: Error[] = [];
  const replies = broker.receiveReplies({ onReply: () => {}, onLost: (reason) => losses.push(reason) });
  const address = await replies.replyTo();
  await other.remove(address);
  await eventually(() => losses.length === 1);
  expect(losses[0]).toMatchObject({ code: 'QUEUE_MISSING' });
  expect(await replies.replyTo()).not.toBe(address);
  await replies.close();
  expect((await operatorOf(other).queues()).queues).toEqual([]);
  await Promise.all([broker.close(), other.close()]);
});
