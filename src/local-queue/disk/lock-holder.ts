import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { STORE_FILE } from './store/database.js';

/**
 * Describes the process that holds the write lock; undefined if none does, or if the system does not report it. Linux
 * does, for processes in the same container. A process that is stopped within a transaction holds its lock.
 */
export function lockHolder(folder: string): string | undefined {
  try {
    const store = join(folder, STORE_FILE);
    const files = [store, `${store}-shm`].map(fileOf);
    // 1: POSIX  ADVISORY  WRITE 4711 08:01:2271201 120 120
    const locks = readFileSync('/proc/locks', 'latin1').matchAll(/POSIX +\S+ +WRITE +(\d+) +(\S+) /g);
    for (const [, pid, file] of locks) {
      if (!files.includes(file)) continue;
      if (pid === `${process.pid}`)
        return 'this process holds the lock of the folder, and is waiting for the disk';
      return `process ${pid} holds the lock of the folder`;
    }
  } catch {
    // No Linux, or no files.
  }
  return undefined;
}

/** As the kernel writes it: the numbers of the device, and of the file. */
function fileOf(path: string): string | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  const { dev, ino } = stats;
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  return `${hex(major)}:${hex(minor)}:${ino}`;
}

function hex(number: bigint): string {
  return number.toString(16).padStart(2, '0');
}
