import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { TURNSTILE_FILE } from '../../../src/local-queue/disk/store-files.js';
import { eventually } from '../../support/eventually.js';

/** Where LMDB has its write lock in the lock file, and glibc, in the lock, its holder. */
const HOLDER_AT = 0x40;
/** Of the holder: somebody waits. */
const WAITERS = 0x8000_0000;

const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };

/** Whether the lock is laid out as it is read here. */
export const knowsTurnstileLock = process.platform === 'linux' && header.glibcVersionRuntime !== undefined;

/** The lock of a folder's turnstile, looked at from outside. Closed when the test has finished. */
export class TurnstileLock {
  readonly #file: number;
  readonly #holder = Buffer.alloc(4);

  constructor(folder: string) {
    this.#file = openSync(join(folder, `${TURNSTILE_FILE}-lock`), 'r+');
    onTestFinished(() => closeSync(this.#file));
  }

  /** Past all who use it. The number of a thread; 0: it is free. */
  setHolder(thread: number): void {
    this.#holder.writeUInt32LE(thread);
    writeSync(this.#file, this.#holder, 0, this.#holder.length, HOLDER_AT);
  }

  /** Resolves when somebody waits for it. */
  async waitedFor(): Promise<void> {
    await eventually(() => {
      readSync(this.#file, this.#holder, 0, this.#holder.length, HOLDER_AT);
      return this.#holder.readUInt32LE() > WAITERS;
    });
  }
}

const HOLDER = fileURLToPath(new URL('./processes/holder.mjs', import.meta.url));

/** A process that holds the turnstile and stands still. Killed when the test has finished. */
export async function holdTurnstile(folder: string): Promise<ChildProcess> {
  const holder = spawn(process.execPath, [HOLDER, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  return holder;
}
