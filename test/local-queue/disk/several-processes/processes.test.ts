import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Delivery } from '../../../../src/broker.js';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import { untilAsserted } from '../../../support/eventually.js';
import { newFolder, plainQueue } from '../folders.js';
import { Actor } from './actor.js';
import { stopWithoutLock } from './lock-holder.js';

const queue = 'grain';

test('what one process sends another handles, whichever was there first', async () => {
  const folder = newFolder();
  const sender = await Actor.open(folder);
  await sender.tell('declare', { spec: plainQueue(queue) });
  await sender.tell('publish', { queue, ids: ['before'] });
  const worker = await Actor.open(folder);
  await worker.tell('subscribe', { queue, prefetch: 1 });
  expect(await worker.delivery()).toMatchObject({ id: 'before', attempt: 1, redelivered: false });
  await worker.tell('ack', { id: 'before' });
  await sender.tell('publish', { queue, ids: ['after'] });
  expect(await worker.delivery()).toMatchObject({ id: 'after', attempt: 1, redelivered: false });
});

test('the messages of a killed process are redelivered first, marked and counted', async () => {
  const folder = newFolder();
  const doomed = await Actor.open(folder);
  await doomed.tell('declare', { spec: plainQueue(queue) });
  await doomed.tell('publish', { queue, ids: ['a', 'b', 'c'] });
  await doomed.tell('subscribe', { queue, prefetch: 2 });
  await doomed.delivery();
  await doomed.delivery();
  const heir = await Actor.open(folder);
  await heir.tell('subscribe', { queue, prefetch: 1 });
  expect(await heir.delivery()).toMatchObject({ id: 'c', redelivered: false });
  doomed.process.kill('SIGKILL');
  await heir.tell('publish', { queue, ids: ['d'] });
  // Its lease has long to run: the process is found dead.
  await untilAsserted(async () => expect(await heir.tell('inspect', { queue })).toMatchObject({ ready: 3 }));
  for (const id of ['a', 'b']) {
    await heir.tell('ack', { id: id === 'a' ? 'c' : 'a' });
    expect(await heir.delivery()).toMatchObject({ id, attempt: 2, redelivered: true });
  }
  await heir.tell('ack', { id: 'b' });
  expect(await heir.delivery()).toMatchObject({ id: 'd', attempt: 1, redelivered: false });
});

test('a process that stood still past its lease has lost its messages and can not settle them', async () => {
  const folder = newFolder();
  const paused = await Actor.open(folder, { leaseMs: 5000 });
  await paused.tell('declare', { spec: plainQueue(queue) });
  await paused.tell('publish', { queue, ids: ['a'] });
  await paused.tell('subscribe', { queue, prefetch: 5 });
  await paused.delivery();
  const other = await Actor.open(folder, { leaseMs: 60_000 });
  await other.tell('subscribe', { queue, prefetch: 5 });
  await stopWithoutLock(paused.process, folder);
  expect(await other.delivery()).toMatchObject({ id: 'a', attempt: 2, redelivered: true });
  paused.process.kill('SIGCONT');
  expect(await paused.loss()).toMatchObject({ id: 'a' });
  await paused.tell('ack', { id: 'a' });
  // It works on, as if it were new.
  await other.tell('unsubscribe', { queue });
  expect(await paused.delivery()).toMatchObject({ id: 'a', redelivered: true });
  await paused.tell('ack', { id: 'a' });
  await untilAsserted(async () =>
    expect(await other.tell('inspect', { queue })).toMatchObject({ ready: 0, consumers: 1 }),
  );
});

test('a delayed retry outlives the process that requested it, and is not early', async () => {
  const folder = newFolder();
  const first = await Actor.open(folder);
  await first.tell('declare', { spec: plainQueue(queue) });
  await first.tell('publish', { queue, ids: ['a'] });
  await first.tell('subscribe', { queue, prefetch: 1 });
  await first.delivery();
  const before = Date.now();
  await first.tell('retry', { id: 'a', delayMs: 1500 });
  first.process.kill('SIGKILL');
  await first.ended;
  const second = await Actor.open(folder);
  await second.tell('subscribe', { queue, prefetch: 1 });
  expect(await second.delivery()).toMatchObject({ id: 'a', attempt: 2 });
  expect(Date.now() - before).toBeGreaterThanOrEqual(1500);
});

test('a message that kills its processes more often than the limit becomes a dead letter', async () => {
  const folder = newFolder();
  const witness = await Actor.open(folder);
  await witness.tell('declare', { spec: plainQueue(queue, { deliveryLimit: 2 }) });
  await witness.tell('publish', { queue, ids: ['poison'] });
  for (const attempt of [1, 2, 3]) {
    const victim = await Actor.open(folder);
    await victim.tell('subscribe', { queue, prefetch: 1 });
    expect(await victim.delivery()).toMatchObject({ id: 'poison', attempt });
    victim.process.kill('SIGKILL');
    await victim.ended;
  }
  const dead = `${queue}.dead`;
  await untilAsserted(async () => {
    expect(await witness.tell('inspect', { queue })).toMatchObject({ ready: 0 });
    expect(await witness.tell('inspect', { queue: dead })).toMatchObject({ ready: 1 });
  });
  const broker = await openDiskBroker(folder);
  const letter = await new Promise<Delivery>((resolve) => broker.subscribe(dead, { prefetch: 1 }, resolve));
  expect(letter.message).toMatchObject({ id: 'poison', body: 'body of poison' });
  expect(letter.message.headers).toMatchObject({
    'x-millrace-reason': 'delivery-limit',
    'x-millrace-queue': queue,
    'x-millrace-attempts': '3',
  });
  await broker.close();
});

test('a sender waits for room that another process makes', async () => {
  const folder = newFolder();
  const sender = await Actor.open(folder);
  await sender.tell('declare', { spec: plainQueue(queue, { capacity: 2 }) });
  await sender.tell('publish', { queue, ids: ['a', 'b'] });
  await expect(
    sender.tell('publish', { queue, ids: ['refused'], options: { noWait: true } }),
  ).rejects.toMatchObject({
    code: 'FULL',
  });
  sender.begin('publish', { queue, ids: ['c'] });
  const worker = await Actor.open(folder);
  await worker.tell('subscribe', { queue, prefetch: 1 });
  for (const id of ['a', 'b', 'c']) {
    expect(await worker.delivery()).toMatchObject({ id });
    await worker.tell('ack', { id });
  }
  await sender.outcome('publish');
});

test('consumers are counted over all processes, and those of a killed one no longer count', async () => {
  const folder = newFolder();
  const [one, two] = [await Actor.open(folder), await Actor.open(folder)];
  await one.tell('declare', { spec: plainQueue(queue) });
  for (const actor of [one, two]) await actor.tell('subscribe', { queue, prefetch: 1 });
  expect(await one.tell('inspect', { queue })).toMatchObject({ ready: 0, consumers: 2 });
  two.process.kill('SIGKILL');
  await untilAsserted(async () =>
    expect(await one.tell('inspect', { queue })).toMatchObject({ ready: 0, consumers: 1 }),
  );
});

test('a subscriber keeps its process alive, an open broker does not', async () => {
  const folder = newFolder();
  const idle = await Actor.open(folder);
  await idle.tell('declare', { spec: plainQueue(queue) });
  idle.hangUp();
  expect(await idle.ended).toBe(0);
  const worker = await Actor.open(folder);
  await worker.tell('subscribe', { queue, prefetch: 1 });
  worker.hangUp();
  const sender = await Actor.open(folder);
  await sender.tell('publish', { queue, ids: ['a'] });
  expect(await worker.delivery()).toMatchObject({ id: 'a' });
});

test('a sender that waits for room keeps its process alive until the message is in', async () => {
  const folder = newFolder();
  const sender = await Actor.open(folder);
  await sender.tell('declare', { spec: plainQueue(queue, { capacity: 1 }) });
  await sender.tell('publish', { queue, ids: ['a'] });
  sender.begin('publish', { queue, ids: ['b'] });
  sender.hangUp();
  const worker = await Actor.open(folder);
  await worker.tell('subscribe', { queue, prefetch: 1 });
  await worker.delivery();
  await worker.tell('ack', { id: 'a' });
  expect(await worker.delivery()).toMatchObject({ id: 'b' });
  expect(await sender.ended).toBe(0);
});

test('brokers of one process share a folder under whatever name, and each is closed alone', async () => {
  const folder = newFolder();
  const other = join(newFolder(), 'link');
  symlinkSync(folder, other);
  const [one, two] = await Promise.all([openDiskBroker(folder), openDiskBroker(other)]);
  expect(two.url).toBe(one.url);
  await one.declare(plainQueue(queue));
  await one.publish(
    { exchange: '', routingKey: queue },
    { id: 'a', contentType: '', headers: {}, body: 'x' },
  );
  await one.close();
  expect(await two.inspect(queue)).toMatchObject({ ready: 1, consumers: 0 });
  const again = await openDiskBroker(folder);
  await two.close();
  expect(await again.purge(queue)).toBe(1);
  await again.close();
});
