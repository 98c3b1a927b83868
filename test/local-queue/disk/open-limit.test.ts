import { execFileSync } from 'node:child_process';
import { closeSync, openSync, promises } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { rejection } from '../../support/rejection.js';
import { newFolder } from './folders.js';

test.skipIf(process.platform !== 'linux')(
  'a folder that can not be made, where the system says ENOENT to every new one, is refused',
  async () => {
    const error = await rejection(openDiskBroker('/proc/nothing/millrace'), 'STORAGE_ERROR');
    expect(error.message).toMatch(
      /"\/proc\/nothing\/millrace" can't hold a queue: no folder can be created in \/proc$/,
    );
  },
);

test('a folder is made with those that lead to it, also by several brokers at once', async () => {
  const folder = join(newFolder(), 'a', 'b', 'c');
  const brokers = await Promise.all([1, 2, 3].map(() => openDiskBroker(folder)));
  await Promise.all(brokers.map((broker) => broker.close()));
});

test.skipIf(process.platform === 'win32')(
  'a file system that does not answer ends with UNREACHABLE at connectTimeoutMs',
  async () => {
    const folder = newFolder();
    await (await openDiskBroker(folder)).close();
    // Threads for file operations wait for the other ends of these pipes, so that none is left for the folder.
    const pipes = Array.from({ length: Number(process.env.UV_THREADPOOL_SIZE ?? 4) }, (_, index) =>
      join(folder, `pipe-${index}`),
    );
    execFileSync('mkfifo', pipes);
    const reading = pipes.map((path) => promises.open(path, 'r'));
    onTestFinished(async () => {
      // Opened for both directions, so that this does not wait in turn.
      const ends = pipes.map((path) => openSync(path, 'r+'));
      for (const file of await Promise.all(reading)) await file.close();
      for (const end of ends) closeSync(end);
    });
    const error = await rejection(openDiskBroker(folder, { connectTimeoutMs: 300 }), 'UNREACHABLE');
    expect(error.message).toContain('could not be opened within 300 ms: its file system is not responding');
  },
);
