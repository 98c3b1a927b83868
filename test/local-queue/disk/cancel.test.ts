import { expect, test } from 'vitest';
import type { QueueSubscription } from '../../../src/broker.js';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { eventually } from '../../support/eventually.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import { newFolder, plainQueue } from './folders.js';

const IDS = Array.from({ length: 20 }, (_, index) => `m${index}`);

test('messages in transit when a subscription is cancelled return in order, and not as redelivered', async () => {
  const broker = await openDiskBroker(newFolder());
  await broker.declare(plainQueue('grain'));
  for (const id of IDS) {
    const message = { id, contentType: 'text/plain', headers: {}, body: 'x' };
    await broker.publish({ exchange: '', routingKey: 'grain' }, message);
  }
  const seen: string[] = [];
  let subscription: QueueSubscription | undefined;
  let cancelled: Promise<void> | undefined;
  subscription = await broker.subscribe('grain', { prefetch: IDS.length }, ({ message }) => {
    seen.push(message.id);
    cancelled = subscription?.cancel();
  });
  await eventually(() => cancelled !== undefined);
  await cancelled;
  expect(seen).toEqual(['m0']);
  const others = await (await Inbox.open(broker, 'grain')).take(IDS.length - 1);
  expect(idsOf(others)).toEqual(IDS.slice(1));
  expect(others.filter(({ redelivered, attempt }) => redelivered || attempt !== 1)).toEqual([]);
  await broker.close();
});
