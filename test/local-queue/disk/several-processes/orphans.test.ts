import { expect, test } from 'vitest';
import { openDiskBroker } from '../../../../src/local-queue/disk/broker.js';
import { eventually, untilAsserted } from '../../../support/eventually.js';
import { rejection } from '../../../support/rejection.js';
import { inDatabase, newFolder, plainQueue } from '../folders.js';
import { Actor } from './actor.js';

const forOne = { type: 'classic', durable: false, exclusive: true, deadLetter: false } as const;
const forSubscribers = { type: 'classic', autoDelete: true, deadLetter: false } as const;

test.each(['SIGKILL', 'exit', 'hang up', 'close'])(
  'queues for one process, or for its subscribers, go with it (%s)',
  async (end) => {
    const folder = newFolder();
    const actor = await Actor.open(folder);
    await actor.tell('declare', { spec: plainQueue('kept') });
    await actor.tell('declare', { spec: plainQueue('exclusive', forOne) });
    await actor.tell('declare', { spec: plainQueue('abandoned', forSubscribers) });
    await actor.tell('subscribe', { queue: 'abandoned', prefetch: 1, unref: true });
    await actor.tell('publish', { queue: 'exclusive', ids: ['a'] });
    await actor.tell('publish', { queue: 'abandoned', ids: ['b', 'c'] });
    if (end === 'SIGKILL') actor.process.kill('SIGKILL');
    else if (end === 'exit') actor.begin('exit');
    else if (end === 'close') await actor.tell('close');
    if (end === 'close' || end === 'hang up') actor.hangUp();
    await actor.ended;
    const broker = await openDiskBroker(folder);
    await untilAsserted(async () => {
      await rejection(broker.inspect('exclusive'), 'QUEUE_MISSING');
      await rejection(broker.inspect('abandoned'), 'QUEUE_MISSING');
    });
    expect(await broker.inspect('kept')).toMatchObject({ ready: 0, consumers: 0 });
    await broker.close();
    expect(inDatabase(folder, 'SELECT * FROM messages')).toEqual([]);
    expect(inDatabase(folder, 'SELECT * FROM owners')).toEqual([]);
    expect(inDatabase(folder, "SELECT name FROM queues WHERE name NOT LIKE 'kept%'")).toEqual([]);
  },
);

test('queues that are for one broker of several in a process go with that one', async () => {
  const folder = newFolder();
  const [one, two] = await Promise.all([openDiskBroker(folder), openDiskBroker(folder)]);
  await one.declare(plainQueue('exclusive', forOne));
  await two.declare(plainQueue('other', forOne));
  await one.close();
  await eventually(() => rejection(two.inspect('exclusive'), 'QUEUE_MISSING'));
  expect((await two.inspect('other')).ready).toBe(0);
  await two.close();
});

test('an exclusive queue is there as long as its process, which has no subscriber', async () => {
  const folder = newFolder();
  const actor = await Actor.open(folder, { leaseMs: 1500 });
  await actor.tell('declare', { spec: plainQueue('exclusive', forOne) });
  const broker = await openDiskBroker(folder);
  const until = performance.now() + 2500;
  while (performance.now() < until) expect((await broker.inspect('exclusive')).ready).toBe(0);
  await broker.close();
});
