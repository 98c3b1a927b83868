import { expect, test } from 'vitest';
import type { Broker } from '../../../src/broker.js';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { rejection } from '../../support/rejection.js';
import { newFolder, plainQueue } from './folders.js';

const to = { exchange: '', routingKey: 'grain' };
const message = (id: string) => ({ id, contentType: '', headers: {}, body: id });

test('any number of open folders adds one process listener, which is removed when all are closed', async () => {
  const before = process.listenerCount('beforeExit');
  const brokers: Broker[] = [];
  for (let count = 0; count < 12; count++) {
    brokers.push(await openDiskBroker(newFolder()));
    expect(process.listenerCount('beforeExit')).toBe(before + 1);
  }
  await Promise.all(brokers.map((broker) => broker.close()));
  expect(process.listenerCount('beforeExit')).toBe(before);
});

test('40,000 sends that wait for room can be aborted at once, each with ABORTED', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('grain', { capacity: 1 }));
  await broker.publish(to, message('first'));
  const abort = new AbortController();
  const waiting = Array.from({ length: 40_000 }, (_, index) =>
    rejection(broker.publish(to, message(`${index}`), { signal: abort.signal }), 'ABORTED'),
  );
  // All of them have come to the store.
  await broker.inspect('grain');
  abort.abort();
  await Promise.all(waiting);
  expect(await broker.purge('grain')).toBe(1);
  await broker.close();
});
