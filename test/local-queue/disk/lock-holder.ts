import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** A process that holds the write lock of a folder, and stands still. Killed when the test has finished. */
export async function holdLock(folder: string): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('./processes/holder.mjs', import.meta.url));
  const holder = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  return holder;
}
