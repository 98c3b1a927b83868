import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { checkFolder } from '../../../src/local-queue/disk/folder.js';
import { eventually, untilAsserted } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { canMount, inDatabase, mountedFolder, newFolder, plainQueue, untilClosed } from './folders.js';
import { Actor } from './several-processes/actor.js';

const FILES = ['queue.db', 'queue.db-wal', 'queue.db-shm', 'wake'];

const isRoot = process.getuid?.() === 0;

async function storeWith(messages: number): Promise<string> {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('grain'));
  const body = 'x'.repeat(1000);
  await Promise.all(
    Array.from({ length: messages }, (_, index) =>
      broker.publish(
        { exchange: '', routingKey: 'grain' },
        { id: `${index}`, contentType: '', headers: {}, body },
      ),
    ),
  );
  await broker.close();
  await untilClosed(folder);
  return folder;
}

function fingerprint(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** Opening must be refused, name the file, and leave it as it is. */
async function expectRefused(folder: string, text: string): Promise<void> {
  const file = join(folder, 'queue.db');
  const before = fingerprint(file);
  const error = await rejection(openDiskBroker(folder), 'STORAGE_ERROR');
  expect(error.message).toContain(file);
  expect(error.message).toContain(text);
  expect(fingerprint(file)).toBe(before);
}

test('the folder is made for its owner alone, and so are the files in it', async () => {
  const folder = join(newFolder(), 'a', 'b');
  const broker = await openDiskBroker(folder);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  for (const file of FILES) expect(statSync(join(folder, file)).mode & 0o077).toBe(0);
  await broker.close();
});

describe('a folder that can not be used is a STORAGE_ERROR', () => {
  test('because it is a file', async () => {
    const file = join(newFolder(), 'file');
    writeFileSync(file, 'something');
    expect((await rejection(openDiskBroker(file), 'STORAGE_ERROR')).message).toContain(file);
    expect((await rejection(openDiskBroker(join(file, 'sub')), 'STORAGE_ERROR')).message).toContain('file');
    expect(readFileSync(file, 'utf8')).toBe('something');
  });

  test.runIf(canMount)('because it is on a read-only file system', async () => {
    const folder = mountedFolder('size=1m,ro');
    const error = await rejection(openDiskBroker(join(folder, 'queues')), 'STORAGE_ERROR');
    expect(error.message).toContain('read-only');
  });

  test.each(['', ...FILES])("because the user has no permission for '%s' in it", async (name) => {
    const folder = await storeWith(1);
    // Whoever has it open keeps the files beside the database there.
    const open = await openDiskBroker(folder);
    const path = join(folder, name);
    chmodSync(path, 0o500);
    // Permissions apply to root without its capabilities as to any owner.
    const actor = new Actor(folder, {}, isRoot ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : []);
    await expect(actor.tell('open')).rejects.toMatchObject({
      code: 'STORAGE_ERROR',
      message: expect.stringContaining(`no permission: ${path.replace(/\/$/, '')} has to be`),
    });
    chmodSync(path, 0o700);
    await open.close();
  });

  test('because the store in it is something else', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'queue.db'), 'this is a diary, and no queue'.repeat(1000));
    await expectRefused(folder, 'damaged or not a store of millrace');
  });

  test('because the store in it was cut off', async () => {
    const folder = await storeWith(3000);
    const file = join(folder, 'queue.db');
    truncateSync(file, 100);
    await expectRefused(folder, 'damaged');
  });

  test('because something is in the place of a file of it', async () => {
    for (const name of FILES) {
      const folder = newFolder();
      mkdirSync(join(folder, name));
      const error = await rejection(openDiskBroker(folder), 'STORAGE_ERROR');
      expect(error.message).toContain(join(folder, name));
    }
  });

  test('because the store in it is another program’s', async () => {
    const folder = newFolder();
    inDatabase(folder, 'CREATE TABLE notes (text)');
    await expectRefused(folder, 'another program');
  });

  test('because the store in it has a later format', async () => {
    const folder = await storeWith(1);
    inDatabase(folder, 'PRAGMA user_version = 99');
    await expectRefused(folder, 'format 99');
  });

  test('because the store in it is one of millrace 0.1', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'queue.mdb'), 'as LMDB wrote it');
    const error = await rejection(openDiskBroker(folder), 'STORAGE_ERROR');
    expect(error.message).toContain('queue.mdb is a store of millrace 0.1');
  });
});

test('a missing folder is named', async () => {
  const folder = join(newFolder(), 'missing');
  const error = await rejection(checkFolder(folder), 'STORAGE_ERROR');
  expect(error.message).toContain(`${folder} does not exist`);
});

test('an error about missing file descriptors says so, and does not suggest to move the store', async () => {
  const folder = await storeWith(1);
  for (const free of [3, 8, 20]) {
    const actor = new Actor(folder, {}, ['prlimit', `--nofile=${40 + free}`]);
    const outcome = await actor.tell('open').then(
      () => 'open',
      (error) => error.message,
    );
    expect(outcome).not.toContain('move');
    if (outcome !== 'open') expect(outcome).toMatch(/descriptor|EMFILE|thread/);
  }
});

test.each([
  ['lost pages which it uses', (file: string) => overwrite(file, 16 * 4096)],
  ['was cut off', (file: string) => truncateSync(file, Math.floor(statSync(file).size / 3 / 4096) * 4096)],
])('a store that %s is an error, no crash', async (_how, damage) => {
  const folder = await storeWith(3000);
  damage(join(folder, 'queue.db'));
  const actor = new Actor(folder);
  const outcome = await actor
    .tell('open')
    .then(() => actor.tell('subscribe', { queue: 'grain', prefetch: 4000 }))
    .then(() => actor.ending())
    .catch((error) => error);
  expect(outcome).toMatchObject({ code: 'STORAGE_ERROR' });
  expect(outcome.message).toContain('damaged');
  expect(outcome.message).toContain('keep them to rescue');
});

function overwrite(file: string, from: number): void {
  const { size } = statSync(file);
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, Buffer.alloc(size - from), 0, size - from, from);
  closeSync(descriptor);
}

test('a message whose headers can not be read becomes a dead letter with its body', async () => {
  const folder = await storeWith(2);
  inDatabase(folder, "UPDATE messages SET headers = 'scribble', body = 'whole' WHERE message_id = '0'");
  const broker = await openDiskBroker(folder);
  const delivered: string[] = [];
  await broker.subscribe('grain', { prefetch: 10 }, ({ message }) => delivered.push(message.id));
  let letter = '';
  await broker.subscribe('grain.dead', { prefetch: 1 }, ({ message }) => {
    letter = `${message.headers['x-millrace-reason']}: ${message.body}`;
  });
  await eventually(() => letter !== '');
  expect(letter).toBe('damaged: whole');
  expect(delivered).toEqual(['1']);
  await broker.close();
});

test('a store alone is a folder, whatever else of it is missing', async () => {
  const folder = await storeWith(5);
  for (const name of FILES.slice(1)) rmSync(join(folder, name), { force: true });
  const broker = await openDiskBroker(folder);
  expect(await broker.purge('grain')).toBe(5);
  await broker.close();
});

test('a copied folder is a store of its own', async () => {
  const folder = await storeWith(5);
  const copy = join(newFolder(), 'copy');
  cpSync(folder, copy, { recursive: true });
  const [one, two] = await Promise.all([openDiskBroker(folder), openDiskBroker(copy)]);
  expect(await one.purge('grain')).toBe(5);
  expect(await two.purge('grain')).toBe(5);
  await Promise.all([one.close(), two.close()]);
});

function replaceStore(folder: string): void {
  const copy = join(folder, 'copy.db');
  cpSync(join(folder, 'queue.db'), copy);
  renameSync(copy, join(folder, 'queue.db'));
}

describe('a folder whose files are removed while it is open', () => {
  test.each([
    ['removed', (folder: string) => rmSync(folder, { recursive: true })],
    ['moved', (folder: string) => renameSync(folder, `${folder}-moved`)],
    ['with another database in place of its own', (folder: string) => replaceStore(folder)],
    ['without its log', (folder: string) => rmSync(join(folder, 'queue.db-wal'))],
    ['without its index of the log', (folder: string) => rmSync(join(folder, 'queue.db-shm'))],
  ])('(%s) is a STORAGE_ERROR for who sends and for who waits', async (_how, takeAway) => {
    const folder = join(newFolder(), 'queues');
    const sender = await Actor.open(folder);
    await sender.tell('declare', { spec: plainQueue('grain') });
    await sender.tell('publish', { queue: 'grain', ids: ['a'] });
    const broker = await openDiskBroker(folder);
    const subscription = await broker.subscribe('grain.dead', { prefetch: 1 }, () => {});
    takeAway(folder);
    const error = await rejection(subscription.ended, 'STORAGE_ERROR');
    expect(error.message).toContain('removed or replaced');
    expect(broker.state).toBe('closed');
    // It looks every half second.
    await untilAsserted(async () => {
      await expect(sender.tell('publish', { queue: 'grain', ids: ['b'] })).rejects.toMatchObject({
        code: 'STORAGE_ERROR',
        message: expect.stringContaining('removed or replaced'),
      });
    });
    await broker.close();
  });
});

test.each([0, 100])(
  'a store that is cut off at %i bytes while it is open is a STORAGE_ERROR',
  async (bytes) => {
    const folder = newFolder();
    const broker = await openDiskBroker(folder);
    await broker.declare(plainQueue('grain'));
    const subscription = await broker.subscribe('grain', { prefetch: 1 }, () => {});
    truncateSync(join(folder, 'queue.db'), bytes);
    const error = await rejection(subscription.ended, 'STORAGE_ERROR');
    expect(error.message).toMatch(/cut off or overwritten while it was open|damaged/);
    expect(error.message).toContain('keep them to rescue');
    await broker.close();
  },
);
