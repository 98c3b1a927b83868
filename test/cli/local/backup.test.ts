import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { openDiskBroker } from '../../../src/local-queue/disk/broker.js';
import { newFolder, plainQueue } from '../../local-queue/disk/folders.js';
import { eventually } from '../../support/eventually.js';
import { millrace } from '../support/spawn-millrace.js';

const COPIES = 4;

function sentBy(ledger: string): number {
  if (!existsSync(ledger)) return 0;
  return readFileSync(ledger, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('S')).length;
}

test('a backup of a folder in use is whole, and has all that had been sent when it began', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.declare(plainQueue('ledger'));
  const ledger = join(folder, 'ledger');
  const script = fileURLToPath(
    new URL('../../local-queue/disk/processes/ledger-sender.mjs', import.meta.url),
  );
  const sender = spawn(process.execPath, [script, folder, 's', ledger, String(Number.MAX_SAFE_INTEGER), '']);
  onTestFinished(async () => {
    const ended = once(sender, 'exit');
    sender.kill('SIGKILL');
    await ended;
    await broker.close();
  });
  for (let copy = 0; copy < COPIES; copy++) {
    const before = sentBy(ledger);
    await eventually(() => sentBy(ledger) > before);
    const sent = sentBy(ledger);
    const restored = join(folder, `restored-${copy}`);
    mkdirSync(restored);
    const file = join(folder, `copy-${copy}.db`);
    const { exitCode, stdout } = await millrace(['backup', file, '-u', `local:${folder}`]);
    expect(stdout).toContain(`Copied ${folder} to ${file}`);
    expect(exitCode).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    renameSync(file, join(restored, 'queue.db'));
    const again = await openDiskBroker(restored);
    expect((await again.inspect('ledger')).ready).toBeGreaterThanOrEqual(sent);
    await again.close();
  }
});

test('a backup replaces no file, and needs a folder', async () => {
  const folder = newFolder();
  const broker = await openDiskBroker(folder);
  await broker.close();
  const exists = await millrace(['backup', join(folder, 'queue.db'), '-u', `local:${folder}`]);
  expect(exists.exitCode).not.toBe(0);
  expect(exists.stderr).toContain('exists already');
  const elsewhere = await millrace(['backup', join(folder, 'copy.db'), '-u', 'amqp://localhost']);
  expect(elsewhere.exitCode).toBe(78);
  expect(elsewhere.stderr).toContain('local:./folder');
  const missing = await millrace(['backup', join(folder, 'copy.db'), '-u', `local:${folder}/nowhere`]);
  expect(missing.exitCode).toBe(78);
  expect(existsSync(join(folder, 'copy.db'))).toBe(false);
});
