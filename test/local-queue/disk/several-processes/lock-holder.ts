import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { lockHolder } from '../../../../src/local-queue/disk/lock-holder.js';
import { eventually } from '../../../support/eventually.js';

/** A process that holds the write lock of a folder, and stands still. Killed when the test has finished. */
export async function holdLock(folder: string): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('../processes/holder.mjs', import.meta.url));
  const holder = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  return holder;
}

/** Stops a process at a moment when it does not hold the lock of the folder: within a transaction it would, until it goes on. */
export async function stopWithoutLock(child: ChildProcess, folder: string): Promise<void> {
  while (true) {
    child.kill('SIGSTOP');
    await eventually(() => /^State:\s+T/m.test(readFileSync(`/proc/${child.pid}/status`, 'latin1')));
    if (!lockHolder(folder)?.includes(`process ${child.pid} `)) return;
    child.kill('SIGCONT');
  }
}
