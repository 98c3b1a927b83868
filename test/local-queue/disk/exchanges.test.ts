import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { defineExchange } from '../../../src/exchange.js';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { defineQueue } from '../../../src/queue.js';
import { watch } from '../../support/rejection.js';
import { newFolder } from './folders.js';

const PEER = fileURLToPath(new URL('processes/exchange-peer.mjs', import.meta.url));

/** Does something in another process. */
async function peer(folder: string, ...args: string[]): Promise<void> {
  const { stdout } = await promisify(execFile)(process.execPath, [PEER, folder, ...args]);
  expect(stdout).toBe('done\n');
}

async function open(folder: string): Promise<Backend> {
  const broker = await openDiskBroker(folder);
  onTestFinished(() => broker.close());
  return broker;
}

const message = (id: string) => ({ id, contentType: '', headers: {}, body: id });
const to = { exchange: 'events', routingKey: 'order.placed' };
const maybe = { mandatory: false };

test('bindings changed by another process apply to the next message', async () => {
  const folder = newFolder();
  const broker = await open(folder);
  expect(await broker.publish(to, message('early'), maybe)).toBe(false);
  await peer(folder, 'bind', 'events', 'orders', 'order.*');
  expect(await broker.publish(to, message('bound'), maybe)).toBe(true);
  await peer(folder, 'unbind', 'events', 'orders', 'order.*');
  expect(await broker.publish(to, message('late'), maybe)).toBe(false);
  expect((await broker.inspect('orders')).ready).toBe(1);
});

test('exchanges and bindings are there when the folder is opened again', async () => {
  const folder = newFolder();
  await peer(folder, 'bind', 'events', 'orders', 'order.*');
  const broker = await open(folder);
  expect(await broker.publish(to, message('again'))).toBe(true);
  await broker.remove('orders');
  expect(await broker.publish(to, message('removed'), maybe)).toBe(false);
});

test('a queue may have ten thousand bindings, beside queues that have one each', async () => {
  const broker = await open(newFolder());
  const exchange = defineExchange('events');
  const keys = Array.from({ length: 10_000 }, (_, index) => `order.${index}`);
  const bindings = keys.map((routingKey) => ({ exchange, routingKey }));
  await broker.declare(defineQueue('all', z.unknown(), { deadLetter: false, bindings }).spec);
  // One after the other, as programs that start do.
  for (const key of keys.slice(0, 100)) {
    const one = { deadLetter: false, bindings: [{ exchange, routingKey: key }] } as const;
    await broker.declare(defineQueue(key, z.unknown(), one).spec);
  }
  expect(await broker.publish({ exchange: 'events', routingKey: 'order.99' }, message('a'))).toBe(true);
  expect(await broker.publish({ exchange: 'events', routingKey: 'order.9999' }, message('b'))).toBe(true);
  expect(await broker.publish({ exchange: 'events', routingKey: 'order' }, message('c'), maybe)).toBe(false);
  expect((await broker.inspect('all')).ready).toBe(2);
  expect((await broker.inspect('order.99')).ready).toBe(1);
});

test('what a queue took that was removed goes to the alternate exchange at once, however much it held', async () => {
  const broker = await open(newFolder());
  const others = defineExchange('others', { type: 'fanout' });
  const exchange = defineExchange('events', { alternate: others });
  const queue = (name: string, to: typeof exchange) =>
    broker.declare(
      defineQueue(name, z.unknown(), {
        deadLetter: false,
        bindings: [{ exchange: to, routingKey: 'order.*' }],
      }).spec,
    );
  await queue('kept', others);
  await queue('orders', exchange);
  await Promise.all(Array.from({ length: 4000 }, (_, index) => broker.publish(to, message(`${index}`))));
  const removing = broker.remove('orders');
  expect(await broker.publish(to, message('next'))).toBe(true);
  await removing;
  expect((await broker.inspect('kept')).ready).toBe(1);
});

test('a message to several queues is stored when another process makes room in the last full one', async () => {
  const folder = newFolder();
  const broker = await open(folder);
  const exchange = defineExchange('events');
  const bindings = [{ exchange, routingKey: 'order.*' }];
  for (const [name, capacity] of [
    ['one', 1],
    ['two', 1],
    ['three', 10],
  ] as const) {
    await broker.declare(defineQueue(name, z.unknown(), { capacity, deadLetter: false, bindings }).spec);
  }
  await broker.publish({ exchange: '', routingKey: 'one' }, message('fills one'));
  await broker.publish({ exchange: '', routingKey: 'two' }, message('fills two'));
  const publishing = broker.publish(to, message('late'));
  const publish = watch(publishing);
  await peer(folder, 'purge', 'one');
  expect(publish.state).toBe('pending');
  expect((await broker.inspect('three')).ready).toBe(0);
  await peer(folder, 'purge', 'two');
  expect(await publishing).toBe(true);
  for (const name of ['one', 'two', 'three']) expect((await broker.inspect(name)).ready).toBe(1);
});
