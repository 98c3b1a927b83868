import { expect, test } from 'vitest';
import type { Message } from '../../../../src/broker.js';
import { defineExchange } from '../../../../src/exchange.js';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import { eventually } from '../../../support/eventually.js';
import { rejection } from '../../../support/rejection.js';
import { newFolder, plainQueue } from '../folders.js';

const to = { exchange: '', routingKey: 'grain' };

/** Messages that differ in one respect each, among many that are alike. */
function assorted(count: number): Message[] {
  const special: Partial<Message>[] = [
    { contentType: 'text/plain' },
    { headers: { kind: 'rye' } },
    { timestamp: undefined },
    { priority: 4 },
    { correlationId: 'c' },
    { replyTo: 'r' },
    { body: '' },
    { body: new Uint8Array(0) },
    { body: 'a\0b' },
    { body: new Uint8Array([1, 0, 2]) },
  ];
  return Array.from({ length: count }, (_, index) => ({
    id: `${index}`,
    contentType: 'application/json',
    headers: {},
    body: `body of ${index}`,
    timestamp: index,
    ...(index % 23 === 22 ? special[Math.floor(index / 23) % special.length] : {}),
  }));
}

test('messages that are stored at once come as they were sent, in their order', async () => {
  const broker = await openDiskBroker(newFolder());
  await broker.declare(plainQueue('grain'));
  await broker.declare(plainQueue('chaff'));
  const sent = assorted(600);
  await Promise.all(
    sent.flatMap((message, index) => [
      broker.publish(to, message),
      ...(index % 50 === 0 ? [broker.publish({ ...to, routingKey: 'chaff' }, message)] : []),
    ]),
  );
  expect(await broker.inspect('chaff')).toMatchObject({ ready: 12 });
  const received: Message[] = [];
  await broker.subscribe('grain', { prefetch: 1000 }, ({ message }) => received.push(message));
  await eventually(() => received.length === sent.length);
  expect(received.map(({ id }) => id)).toEqual(sent.map(({ id }) => id));
  for (const [index, message] of sent.entries()) expect(received[index]).toMatchObject(message);
  await broker.close();
});

test('runs of messages with equal properties arrive as they were sent, in each matching queue', async () => {
  const broker = await openDiskBroker(newFolder());
  const exchange = defineExchange('mill');
  const bindings = [{ exchange, routingKey: '#' }];
  for (const name of ['one', 'two', 'three']) await broker.declare(plainQueue(name, { bindings }));
  const expiresAt = Date.now() + 3_600_000;
  const kinds: Partial<Message>[] = [
    { type: 'grain' },
    { type: 'grain', headers: { kind: 'rye' } },
    { type: 'grain', priority: 4 },
    { type: 'chaff', appId: 'mill', expiresAt },
    { expiresAt: expiresAt + 1 },
    { persistent: false },
    {},
  ];
  const sent: Message[] = Array.from({ length: 600 }, (_, index) => ({
    id: `${index}`,
    contentType: 'application/json',
    headers: {},
    body: `body of ${index}`,
    timestamp: index,
    ...kinds[Math.floor(index / 20) % kinds.length],
  }));
  await Promise.all(
    sent.map((message, index) =>
      broker.publish({ exchange: 'mill', routingKey: index % 100 < 70 ? 'a' : 'b' }, message),
    ),
  );
  for (const name of ['one', 'two', 'three']) {
    const received: Message[] = [];
    await broker.subscribe(name, { prefetch: 1000 }, ({ message }) => received.push(message));
    await eventually(() => received.length === sent.length);
    for (const [index, message] of sent.entries()) {
      const origin = { exchange: 'mill', routingKey: index % 100 < 70 ? 'a' : 'b' };
      expect(received[index]).toMatchObject({ ...message, origin });
      for (const property of ['type', 'appId', 'priority', 'expiresAt', 'persistent'] as const) {
        expect(received[index]?.[property], `${property} of ${index}`).toBe(message[property]);
      }
    }
  }
  await broker.close();
});

test('of many that are sent at once, a queue takes as many as it has room for, the first of them', async () => {
  const broker = await openDiskBroker(newFolder());
  await broker.declare(plainQueue('grain', { capacity: 25 }));
  const outcomes = assorted(60).map((message) => broker.publish(to, message, { noWait: true }));
  await Promise.all(outcomes.slice(0, 25));
  await Promise.all(outcomes.slice(25).map((outcome) => rejection(outcome, 'FULL')));
  expect(await broker.purge('grain')).toBe(25);
  await broker.close();
});
