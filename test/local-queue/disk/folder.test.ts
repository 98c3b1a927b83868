import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import { describe, expect, test } from 'vitest';
import { openDiskBroker } from '../../../src/local-queue/disk/disk-broker.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { Actor } from './actor.js';
import { canMount, mountedFolder, newFolder, plainQueue } from './folders.js';

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
  return folder;
}

function fingerprint(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/** Opening must be refused, name the file, and leave it as it is. */
async function expectRefused(folder: string, text: string, name = 'queue.mdb'): Promise<void> {
  const file = join(folder, name);
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
  for (const file of ['queue.mdb', 'queue.mdb-lock', 'turnstile.mdb', 'turnstile.mdb-lock', 'doorbell']) {
    expect(statSync(join(folder, file)).mode & 0o077).toBe(0);
  }
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

  test.each(['', 'queue.mdb', 'queue.mdb-lock', 'turnstile.mdb', 'turnstile.mdb-lock', 'doorbell'])(
    "because the user has no permission for '%s' in it",
    async (name) => {
      const folder = await storeWith(1);
      const path = join(folder, name);
      chmodSync(path, 0o500);
      // Root without its capabilities is an ordinary owner, to whom the permissions apply.
      const actor = new Actor(
        folder,
        {},
        isRoot ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : [],
      );
      await expect(actor.tell('open')).rejects.toMatchObject({
        code: 'STORAGE_ERROR',
        message: expect.stringContaining(`no permission: ${path.replace(/\/$/, '')} has to be`),
      });
      chmodSync(path, 0o700);
    },
  );

  test('because the store in it is something else', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'queue.mdb'), 'this is a diary, and no queue'.repeat(1000));
    await expectRefused(folder, 'damaged or no store');
  });

  test('because the store in it was cut off', async () => {
    const folder = await storeWith(3000);
    const file = join(folder, 'queue.mdb');
    truncateSync(file, Math.floor(statSync(file).size / 3 / 4096) * 4096);
    await expectRefused(folder, 'damaged');
    truncateSync(file, 100);
    await expectRefused(folder, 'damaged');
  });

  test('because its turnstile is damaged, in which there are no messages', async () => {
    const folder = await storeWith(5);
    const file = join(folder, 'turnstile.mdb');
    const remedy = 'it holds no messages';
    truncateSync(file, 4096);
    await expectRefused(folder, remedy, 'turnstile.mdb');
    writeFileSync(file, 'something else '.repeat(1000));
    await expectRefused(folder, remedy, 'turnstile.mdb');
    rmSync(file);
    const broker = await openDiskBroker(folder);
    expect(await broker.purge('grain')).toBe(5);
    await broker.close();
  });

  test('because something is in the place of a file of it', async () => {
    for (const name of ['queue.mdb', 'queue.mdb-lock', 'turnstile.mdb', 'turnstile.mdb-lock', 'doorbell']) {
      const folder = newFolder();
      mkdirSync(join(folder, name));
      const error = await rejection(openDiskBroker(folder), 'STORAGE_ERROR');
      expect(error.message).toContain(join(folder, name));
    }
  });

  test('because the store in it is another program’s', async () => {
    const folder = newFolder();
    const foreign = open({ path: join(folder, 'queue.mdb'), noSubdir: true, overlappingSync: false });
    await foreign.put('something', 'of another program');
    await foreign.close();
    await expectRefused(folder, 'another program');
  });

  test('because the store in it is of a format that is not known yet', async () => {
    const folder = await storeWith(1);
    await setFormat(folder, '99');
    await expectRefused(folder, '99');
  });
});

test('a store of the first format, whose spans are of one message each, goes on in the present one', async () => {
  const folder = newFolder();
  const sender = await openDiskBroker(folder);
  await sender.declare(plainQueue('grain'));
  // Each is stored before the next comes, so that each is an entry as the first format has them.
  for (const id of ['a', 'b', 'c']) {
    await sender.publish(
      { exchange: '', routingKey: 'grain' },
      { id, contentType: '', headers: {}, body: '' },
    );
  }
  await sender.close();
  await setFormat(folder, '1');
  const broker = await openDiskBroker(folder);
  const ids: string[] = [];
  await broker.subscribe('grain', { prefetch: 10 }, (delivery) => {
    ids.push(delivery.message.id);
    delivery.ack();
  });
  await eventually(() => expect(ids).toEqual(['a', 'b', 'c']));
  await broker.close();
  await setFormat(folder, '99');
  await expectRefused(folder, 'knows format 2');
});

async function setFormat(folder: string, format: string): Promise<void> {
  const store = open<Buffer, Buffer>({
    path: join(folder, 'queue.mdb'),
    noSubdir: true,
    overlappingSync: false,
    encoding: 'binary',
    keyEncoding: 'binary',
  });
  await store.put(Buffer.from('millrace-format'), Buffer.from(format));
  await store.close();
}

test('a store that lost pages which it uses is an error, no crash', async () => {
  const folder = await storeWith(3000);
  const file = join(folder, 'queue.mdb');
  const bytes = readFileSync(file);
  bytes.fill(0, 16 * 4096);
  writeFileSync(file, bytes);
  const actor = new Actor(folder);
  const outcome = await actor
    .tell('open')
    .then(() => actor.tell('subscribe', { queue: 'grain', prefetch: 1000 }))
    .then(
      () => 'none',
      (error) => error.code,
    );
  expect(outcome).toBe('STORAGE_ERROR');
});

test('a record that can not be read becomes a dead letter with its bytes', async () => {
  const folder = await storeWith(2);
  const options = {
    noSubdir: true,
    overlappingSync: false,
    encoding: 'binary',
    keyEncoding: 'binary',
  } as const;
  const store = open<Buffer, Buffer>({ path: join(folder, 'queue.mdb'), ...options, maxDbs: 16 });
  const messages = store.openDB<Buffer, Buffer>({ name: 'messages', ...options });
  const [first] = [...messages.getKeys({ limit: 1 })];
  await messages.put(first as Buffer, Buffer.from('scribble'));
  await store.close();
  const broker = await openDiskBroker(folder);
  const seen: string[] = [];
  await broker.subscribe('grain', { prefetch: 10 }, ({ message }) => seen.push(message.id));
  let letter = '';
  await broker.subscribe('grain.dead', { prefetch: 1 }, ({ message }) => {
    letter = `${message.headers['x-millrace-reason']}: ${Buffer.from(message.body)}`;
  });
  await eventually(() => letter !== '');
  expect(letter).toBe('undecodable: scribble');
  expect(seen).toEqual(['1']);
  await broker.close();
});

test('a store alone is a folder, whatever else of it is missing', async () => {
  const folder = await storeWith(5);
  for (const name of ['queue.mdb-lock', 'turnstile.mdb', 'turnstile.mdb-lock', 'doorbell']) {
    rmSync(join(folder, name));
  }
  const broker = await openDiskBroker(folder);
  expect(await broker.purge('grain')).toBe(5);
  await broker.close();
});

test('a copied folder is a store of its own', async () => {
  const folder = await storeWith(5);
  const copy = join(newFolder(), 'copy');
  mkdirSync(copy);
  cpSync(folder, copy, { recursive: true });
  expect(existsSync(join(copy, 'queue.mdb'))).toBe(true);
  const [one, two] = await Promise.all([openDiskBroker(folder), openDiskBroker(copy)]);
  expect(await one.purge('grain')).toBe(5);
  expect(await two.purge('grain')).toBe(5);
  await Promise.all([one.close(), two.close()]);
});
