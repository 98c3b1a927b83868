import { expect, onTestFinished, test } from 'vitest';
import { openDiskBroker } from '../../../src/local-queue/disk/disk-broker.js';
import { newFolder, plainQueue } from './folders.js';
import { knowsTurnstileLock, TurnstileLock } from './turnstile-lock.js';

test.skipIf(!knowsTurnstileLock)(
  'a lock that is let go of without a word to those who wait for it holds nobody up',
  async () => {
    const folder = newFolder();
    const broker = await openDiskBroker(folder);
    onTestFinished(() => broker.close());
    await broker.declare(plainQueue('q'));
    const lock = new TurnstileLock(folder);

    lock.setHolder(process.pid);
    const inspected = broker.inspect('q');
    await lock.waitedFor();
    lock.setHolder(0);
    expect(await inspected).toEqual({ ready: 0, consumers: 0 });
  },
);
