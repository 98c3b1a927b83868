import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/broker.js';
import { operatorOf } from '../../src/common/backend-of.js';
import { deadLetters } from '../../src/dead-letters/dead-letters.js';
import { openDiskBroker } from '../../src/local-queue/disk/broker.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { eventually } from '../support/eventually.js';
import { Inbox } from '../support/inbox.js';
import { inDatabase, newFolder, plainQueue } from './disk/folders.js';

const failure = { code: 'failed', error: 'no' } as const;

/** The one dead letter of the queue 'orders', once it is there. */
function letterOf(broker: Backend) {
  return eventually(async () => {
    const stats = await broker.inspect('orders');
    if (stats.dead !== 1) return false;
    const [letter = false] = (await deadLetters(broker, 'orders').list()).deadLetters;
    return letter;
  });
}

async function capacityOf(broker: Backend, queue: string): Promise<number | undefined> {
  return (await operatorOf(broker).queue(queue)).capacity;
}

function publish(broker: Backend, id: string, expiresAt?: number): Promise<boolean> {
  return broker.publish(
    { exchange: '', routingKey: 'orders' },
    { id, contentType: '', headers: {}, body: id, expiresAt },
  );
}

describe.each([
  ['memory', () => openMemoryBroker()],
  ['disk', () => openDiskBroker(newFolder())],
])('a dead-letter queue that was removed is created again (%s)', (_name, open) => {
  let broker: Backend;
  beforeEach(async () => {
    broker = await open();
    await broker.declare(plainQueue('orders', { deadLetter: { capacity: 1 } }));
  });
  afterEach(() => broker.close());

  test('with its capacity, also for those that wait for room in it', async () => {
    const inbox = await Inbox.open(broker, 'orders');
    for (const id of ['a', 'b', 'c']) await publish(broker, id);
    const [a, b, c] = await inbox.take(3);
    await a?.deadLetter(failure);
    const waiting = [b?.deadLetter(failure), c?.deadLetter(failure)];
    await eventually(async () => (await broker.inspect('orders')).unsettled === 2);
    await broker.remove('orders.dead');
    await waiting[0];
    expect(await letterOf(broker)).toMatchObject({ id: 'b', reason: 'failed' });
    await broker.remove('orders.dead');
    await waiting[1];
    expect(await letterOf(broker)).toMatchObject({ id: 'c', reason: 'failed' });
    expect(await broker.inspect('orders')).toMatchObject({ ready: 0, unsettled: 0 });
  });

  test('for a message that expires', async () => {
    await broker.remove('orders.dead');
    expect(await broker.inspect('orders')).toMatchObject({ dead: 0 });
    await publish(broker, 'late', Date.now() + 1);
    expect(await letterOf(broker)).toMatchObject({ id: 'late', reason: 'expired' });
  });

  test('with the capacity of the latest definition', async () => {
    await broker.remove('orders.dead');
    await broker.declare(plainQueue('orders', { deadLetter: { capacity: 2 } }));
    await removeAndFill('orders', 'orders.dead');
    expect(await capacityOf(broker, 'orders.dead')).toBe(2);
    await broker.declare(plainQueue('orders', { declare: 'if-missing' }));
    await removeAndFill('orders', 'orders.dead');
    expect(await capacityOf(broker, 'orders.dead')).toBe(2);
    await broker.remove('orders.dead');
    await broker.declare(plainQueue('orders', { declare: 'if-missing', deadLetter: { capacity: 3 } }));
    await removeAndFill('orders', 'orders.dead');
    expect(await capacityOf(broker, 'orders.dead')).toBe(3);
  });

  test('with the capacity that a program gave it which uses the queue as it is', async () => {
    await broker.declare(plainQueue('bare', { deadLetter: false }));
    await broker.declare(plainQueue('bare', { declare: 'existing', deadLetter: { capacity: 2 } }));
    await removeAndFill('bare', 'bare.dead');
    expect(await capacityOf(broker, 'bare.dead')).toBe(2);
  });

  test('unless a program that uses the queue as it is has named another one meanwhile', async () => {
    const other = plainQueue('orders', {
      declare: 'if-missing',
      deadLetter: { queue: 'orders.other', capacity: 4 },
    });
    await broker.declare(other);
    await removeAndFill('orders', 'orders.dead');
    expect(await broker.inspect('orders.dead')).toMatchObject({ ready: 1 });
    await broker.remove('orders.dead');
    await broker.declare(other);
    await removeAndFill('orders', 'orders.other');
    expect(await capacityOf(broker, 'orders.other')).toBe(4);
    await broker.declare(plainQueue('orders', { deadLetter: { capacity: 5 } }));
    await removeAndFill('orders', 'orders.dead');
    expect(await capacityOf(broker, 'orders.dead')).toBe(5);
  });

  test('under its own name, though a program that uses the queue as it is has named none', async () => {
    await broker.declare(plainQueue('mine', { deadLetter: { queue: 'graveyard' } }));
    await broker.remove('graveyard');
    await broker.declare(plainQueue('mine', { declare: 'if-missing' }));
    await fill('mine');
    expect(await broker.inspect('graveyard')).toMatchObject({ ready: 1 });
  });

  /** A dead letter after the dead-letter queue was removed. */
  async function removeAndFill(name: string, dead: string): Promise<void> {
    await broker.remove(dead);
    await fill(name);
  }

  async function fill(name: string): Promise<void> {
    await broker.publish(
      { exchange: '', routingKey: name },
      { id: 'a', contentType: '', headers: {}, body: '' },
    );
    const inbox = await Inbox.open(broker, name);
    await (await inbox.next()).deadLetter(failure);
    await inbox.subscription.close();
  }

  test('and one of the same name that was declared meanwhile is used', async () => {
    await broker.remove('orders.dead');
    await broker.declare(plainQueue('orders.dead', { deadLetter: false }));
    await publish(broker, 'a');
    await (await (await Inbox.open(broker, 'orders')).next()).deadLetter(failure);
    expect(await broker.inspect('orders.dead')).toMatchObject({ ready: 1 });
    expect(await broker.inspect('orders')).toMatchObject({ dead: 1 });
  });
});

test('a removed dead-letter queue on disk is created again with its capacity in a later process, too', async () => {
  const folder = newFolder();
  const first = await openDiskBroker(folder);
  await first.declare(plainQueue('orders', { deadLetter: { capacity: 1 } }));
  await first.declare(plainQueue('orders', { deadLetter: { capacity: 2 } }));
  await first.remove('orders.dead');
  await first.close();
  const broker = await openDiskBroker(folder);
  await publish(broker, 'late', Date.now() + 1);
  await letterOf(broker);
  expect(await capacityOf(broker, 'orders.dead')).toBe(2);
  await broker.close();
});

test.each([
  ['damaged', "UPDATE messages SET body = 'x'"],
  [
    'delivery-limit',
    "INSERT INTO owners VALUES (99, 42, '42', '', '', '', 0, 1, 'mill', NULL)",
    'UPDATE messages SET owner = 99, returns = 20',
  ],
])(
  'a removed dead-letter queue on disk is created again for a message that is %s',
  async (reason, ...changes) => {
    const folder = newFolder();
    const first = await openDiskBroker(folder);
    await first.declare(plainQueue('orders'));
    await publish(first, 'a');
    await first.remove('orders.dead');
    await first.close();
    inDatabase(folder, ...changes);
    if (reason === 'delivery-limit') inDatabase(folder, "UPDATE queues SET ready = 0 WHERE name = 'orders'");
    const broker = await openDiskBroker(folder);
    await Inbox.open(broker, 'orders');
    expect(await letterOf(broker)).toMatchObject({ id: 'a', reason });
    await broker.close();
  },
);
