import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Backend } from '../../../../src/broker.js';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import type { DeliveryBatch } from '../../../../src/local-queue/disk/protocol.js';
import { StoreClient } from '../../../../src/local-queue/disk/store-client.js';
import { eventually } from '../../../support/eventually.js';
import { Inbox } from '../../../support/inbox.js';
import { inDatabase, newFolder, plainQueue } from '../folders.js';

const thread = new URL('../processes/failing-store-thread.mjs', import.meta.url);

/** A message that was handled, whose acknowledgement could not be stored so far. */
async function unstored(folder: string): Promise<{ broker: Backend; inbox: Inbox }> {
  const broker = await openDiskBroker(folder, {}, { thread });
  await broker.declare(plainQueue('grain'));
  for (const id of ['handled', 'open']) {
    await broker.publish(
      { exchange: '', routingKey: 'grain' },
      { id, contentType: '', headers: {}, body: id },
    );
  }
  const inbox = await Inbox.open(broker, 'grain');
  const [handled] = await inbox.take(2);
  writeFileSync(join(folder, 'fail'), '1000000');
  handled?.ack();
  // Also alone. The next try is half a second away.
  await eventually(() => failuresIn(folder) >= 2);
  return { broker, inbox };
}

function failuresIn(folder: string): number {
  const file = join(folder, 'failures');
  return existsSync(file) ? readFileSync(file).length : 0;
}

/** A subscriber without a broker around it, and its deliveries. */
async function delivered(folder: string, count: number) {
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('grain'));
  for (let n = 0; n < count; n++)
    await broker.publish(
      { exchange: '', routingKey: 'grain' },
      { id: `m${n}`, contentType: '', headers: {}, body: '' },
    );
  await broker.close();
  const client = new StoreClient({ folder, leaseMs: 30_000, thread });
  await client.open();
  const subscription = client.newSubscription();
  const tickets: number[] = [];
  const deliver = (batch: DeliveryBatch) => void tickets.push(...batch.tickets);
  client.receive(subscription, { deliver, lost() {}, setAside() {}, fail() {} });
  const command = {
    kind: 'subscribe',
    subscription,
    queue: 'grain',
    prefetch: count,
    inspects: false,
  } as const;
  await client.command(command, (answer) => answer);
  await eventually(() => tickets.length === count);
  return { client, subscription, tickets };
}

test('an acknowledgement that could not be stored goes before the end of its subscription', async () => {
  const folder = newFolder();
  const { broker, inbox } = await unstored(folder);
  const closing = inbox.subscription.close();
  const failures = failuresIn(folder);
  await eventually(() => failuresIn(folder) > failures);
  rmSync(join(folder, 'fail'));
  await closing;
  const again = await Inbox.open(broker, 'grain');
  expect(await again.ackNext(1)).toEqual(['open']);
  expect(await broker.inspect('grain')).toMatchObject({ ready: 0 });
  await broker.close();
});

test('an acknowledgement that could not be stored is tried once more when the broker closes', async () => {
  const folder = newFolder();
  const { broker } = await unstored(folder);
  rmSync(join(folder, 'fail'));
  await broker.close();
  const next = await openDiskBroker(folder);
  expect(await (await Inbox.open(next, 'grain')).ackNext(1)).toEqual(['open']);
  expect(await next.inspect('grain')).toMatchObject({ ready: 0, unsettled: 0 });
  await next.close();
});

test('an acknowledgement that could not be stored along with the end of the store is stored alone', async () => {
  const folder = newFolder();
  const { client, tickets } = await delivered(folder, 1);
  client.outbox.ack(tickets[0] as number);
  writeFileSync(join(folder, 'fail'), '1');
  await client.close();
  expect(failuresIn(folder)).toBe(1);
  expect(inDatabase(folder, 'SELECT * FROM messages')).toEqual([]);
  expect(inDatabase(folder, 'SELECT * FROM owners')).toEqual([]);
});

test('an acknowledgement that fails along with the end of its subscription, after an earlier one, is stored before that', async () => {
  const folder = newFolder();
  const { client, subscription, tickets } = await delivered(folder, 2);
  writeFileSync(join(folder, 'fail'), '1000000');
  client.outbox.ack(tickets[0] as number);
  await eventually(() => failuresIn(folder) >= 2);
  client.outbox.ack(tickets[1] as number);
  const ended = client.command({ kind: 'unsubscribe', subscription }, (answer) => answer);
  // The first one again, before the end of the subscription; the second one; and all three together.
  const failures = failuresIn(folder);
  await eventually(() => failuresIn(folder) >= failures + 3);
  rmSync(join(folder, 'fail'));
  await Promise.all([client.close(), ended]);
  expect(inDatabase(folder, 'SELECT * FROM messages')).toEqual([]);
});
