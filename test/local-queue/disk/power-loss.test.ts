import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { eventually } from '../../support/eventually.js';
import { newFolder, plainQueue } from './folders.js';

const COPIES = 15;

function sentBy(ledger: string): string[] {
  if (!existsSync(ledger)) return [];
  const lines = readFileSync(ledger, 'utf8').split('\n').slice(0, -1);
  return lines.filter((line) => line.startsWith('S')).map((line) => `s/${line.slice(2)}`);
}

/** All ids in a folder's queue, in order. */
async function idsIn(folder: string): Promise<string[]> {
  const broker = await openDiskBroker(folder);
  const { ready } = await broker.inspect('ledger');
  const ids: string[] = [];
  await broker.subscribe('ledger', { prefetch: 1000 }, (delivery) => {
    ids.push(delivery.message.id);
    delivery.ack();
  });
  await eventually(() => expect(ids.length).toBe(ready), { timeoutMs: 60_000 });
  await broker.close();
  return ids;
}

// The writer is stopped for the copy, so that the copy is of one moment, as a power failure is. What it can't show is
// what a failing disk would have left out of that moment; that order of writes is LMDB's, and tested there.
test('a copy of the file at any moment opens and holds all that had been sent by then', {
  timeout: 120_000,
}, async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('ledger'));
  const ledger = join(folder, 'ledger');
  const script = fileURLToPath(new URL('./processes/ledger-sender.mjs', import.meta.url));
  const sender = spawn(process.execPath, [script, folder, 's', ledger, String(Number.MAX_SAFE_INTEGER), '']);
  onTestFinished(async () => {
    const ended = once(sender, 'exit');
    sender.kill('SIGKILL');
    await ended;
    await broker.close();
  });
  await eventually(() => sentBy(ledger).length > 0);

  for (let copy = 0; copy < COPIES; copy++) {
    await delay(Math.random() * 100);
    const before = sentBy(ledger).length;
    await eventually(() => sentBy(ledger).length > before);
    sender.kill('SIGSTOP');
    const sent = sentBy(ledger);
    const place = join(folder, `copy-${copy}`);
    mkdirSync(place);
    for (const file of ['queue.db', 'queue.db-wal']) copyFileSync(join(folder, file), join(place, file));
    const stored = await idsIn(place);
    const held = new Set(stored);
    expect(sent.filter((id) => !held.has(id))).toEqual([]);
    expect(held.size).toBe(stored.length);
    rmSync(place, { recursive: true });
    sender.kill('SIGCONT');
  }
});
