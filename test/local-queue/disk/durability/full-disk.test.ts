import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Backend, Delivery } from '../../../../src/broker.js';
import { isQueueError } from '../../../../src/errors.js';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import { eventually } from '../../../support/eventually.js';
import { rejection } from '../../../support/rejection.js';
import { canMount, mountedFolder, plainQueue } from '../folders.js';
import { Actor } from '../several-processes/actor.js';

const queue = 'grain';
const failure = { code: 'failed', error: 'again' } as const;

function send(broker: Backend, id: string, bytes = 10_000): Promise<boolean> {
  const body = Buffer.alloc(bytes, id);
  return broker.publish({ exchange: '', routingKey: queue }, { id, contentType: '', headers: {}, body });
}

/** Sends until there is no room, and gives the ids of what was stored. */
async function fill(broker: Backend): Promise<string[]> {
  const stored: string[] = [];
  while (true) {
    const id = `m${stored.length}`;
    try {
      await send(broker, id);
    } catch (error) {
      if (isQueueError(error, 'STORAGE_FULL')) return stored;
      throw error;
    }
    stored.push(id);
  }
}

test.runIf(canMount)('on a full disk send is STORAGE_FULL, and goes on when there is room', async () => {
  const folder = mountedFolder('size=8m');
  const broker = await openDiskBroker(join(folder, 'queues'));
  await broker.declare(plainQueue(queue));
  const ballast = join(folder, 'ballast');
  writeFileSync(ballast, Buffer.alloc(2 * 1024 * 1024));
  const stored = await fill(broker);
  expect(stored.length).toBeGreaterThan(100);
  const error = await rejection(send(broker, 'refused'), 'STORAGE_FULL');
  expect(error.message).toContain(folder);
  expect((await broker.inspect(queue)).ready).toBe(stored.length);
  rmSync(ballast);
  await send(broker, 'after');
  await broker.close();

  // All that was stored is there, in order and whole.
  const again = await openDiskBroker(join(folder, 'queues'));
  const seen: string[] = [];
  await again.subscribe(queue, { prefetch: 10 }, (delivery) => {
    const { id, body } = delivery.message;
    expect(Buffer.from(body).equals(Buffer.alloc(10_000, id))).toBe(true);
    seen.push(id);
    delivery.ack();
  });
  await eventually(() => seen.length === stored.length + 1);
  expect(seen).toEqual([...stored, 'after']);
  await again.close();
});

// Where there is too little for the locks, for the files, and for the tables.
test.runIf(canMount)('a folder on a full disk is STORAGE_FULL, and a queue when there is room', async () => {
  const folder = mountedFolder('size=8m');
  const queues = join(folder, 'queues');
  const ballast = join(folder, 'ballast');
  for (const free of [0, 4, 8, 16, 40, 72, 80, 140, 200, 300]) {
    writeFileSync(ballast, Buffer.alloc((8 * 1024 - free) * 1024));
    const actor = new Actor(queues);
    const sent = actor
      .tell('open')
      .then(() => actor.tell('declare', { spec: plainQueue(queue) }))
      .then(() => actor.tell('publish', { queue, ids: ['refused'] }));
    await expect(sent).rejects.toMatchObject({
      code: 'STORAGE_FULL',
      message: expect.stringContaining(queues),
    });
    // What it has open of the files takes room.
    actor.process.kill('SIGKILL');
    await actor.ended;
    rmSync(ballast);
    const broker = await openDiskBroker(queues);
    await broker.declare(plainQueue(queue));
    await send(broker, 'after');
    expect((await broker.inspect(queue)).ready).toBe(1);
    await broker.close();
    rmSync(queues, { recursive: true });
  }
});

test.runIf(canMount)('a consumer works on while the disk is full, and makes the room itself', async () => {
  const folder = mountedFolder('size=8m');
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue(queue));
  const deliveries: Delivery[] = [];
  await send(broker, 'first');
  await broker.subscribe(queue, { prefetch: 1 }, (delivery) => deliveries.push(delivery));
  await eventually(() => deliveries.length === 1);
  const stored = await fill(broker);
  // Where it can't be stored, the message goes back to its queue; either way it is redelivered.
  await deliveries[0]?.retry(0, failure).catch((error) => {
    if (!isQueueError(error, 'STORAGE_FULL')) throw error;
  });
  const ids = new Set<string>();
  for (let handled = 1; ids.size < stored.length + 1; handled++) {
    await eventually(() => deliveries.length > handled);
    const delivery = deliveries[handled] as Delivery;
    ids.add(delivery.message.id);
    delivery.ack();
  }
  expect(ids).toEqual(new Set(['first', ...stored]));
  await send(broker, 'after');
  await broker.close();
});
