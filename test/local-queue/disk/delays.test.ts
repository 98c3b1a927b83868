import { expect, test } from 'vitest';
import type { Delivery } from '../../../src/broker.js';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { eventually } from '../../support/eventually.js';
import { inDatabase, newFolder, plainQueue } from './folders.js';

const failure = { code: 'failed', error: 'again' } as const;

test('a clock that was ahead and is set right makes no delay longer', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('grain'));
  await broker.publish(
    { exchange: '', routingKey: 'grain' },
    { id: 'a', contentType: '', headers: {}, body: 'x' },
  );
  const first = await new Promise<Delivery>((resolve) => broker.subscribe('grain', { prefetch: 1 }, resolve));
  await first.retry(1000, failure);
  await broker.close();
  // As it would be written had the clock been ahead by an hour.
  inDatabase(folder, 'UPDATE messages SET due = due + 3600000, delayed = delayed + 3600000');
  const begun = performance.now();
  const later = await openDiskBroker(folder);
  const deliveries: Delivery[] = [];
  await later.subscribe('grain', { prefetch: 1 }, (delivery) => deliveries.push(delivery));
  await eventually(() => deliveries.length === 1);
  expect(performance.now() - begun).toBeGreaterThanOrEqual(1000);
  expect(deliveries[0]).toMatchObject({ attempt: 2, redelivered: true });
  await later.close();
});
