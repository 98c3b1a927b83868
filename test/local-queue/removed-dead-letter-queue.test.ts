import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/broker.js';
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

  test('and one of the same name that was declared meanwhile is used', async () => {
    await broker.remove('orders.dead');
    await broker.declare(plainQueue('orders.dead', { deadLetter: false }));
    await publish(broker, 'a');
    await (await (await Inbox.open(broker, 'orders')).next()).deadLetter(failure);
    expect(await broker.inspect('orders.dead')).toMatchObject({ ready: 1 });
    expect(await broker.inspect('orders')).toMatchObject({ dead: 1 });
  });
});

test.each([
  ['damaged', "UPDATE messages SET body = 'x'"],
  [
    'delivery-limit',
    "INSERT INTO owners VALUES (99, 42, '42', '', '', '', 0, 1, 'mill')",
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
