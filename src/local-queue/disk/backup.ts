import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { QueueError } from '../../errors.js';
import { checkFolder } from './folder.js';
import { Database, STORE_FILE } from './store/database.js';
import { checkSqlite, ExitGuard } from './store/sqlite.js';
import { storageError } from './store/storage-error.js';
import { WriteLock } from './store/write-lock.js';

/**
 * Copies a consistent snapshot of a folder's queues to a new file, while others send and work. Blocks this thread.
 * Rejects with `STORAGE_ERROR`, `STORAGE_FULL`, and `INVALID_OPTION` if the file can't be created.
 */
export async function backUpFolder(folder: string, file: string): Promise<void> {
  checkSqlite();
  const path = await checkFolder(resolve(folder));
  makeEmpty(file);
  try {
    const database = new Database(path, new WriteLock(new ExitGuard()));
    try {
      database.prepare('VACUUM INTO ?').run(resolve(file));
    } finally {
      database.close();
    }
    flush(file);
  } catch (error) {
    rmSync(file, { force: true });
    throw storageError(error, join(path, STORE_FILE));
  }
}

/** For its owner only, as the queues are. SQLite fills only an empty file. */
function makeEmpty(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'the file exists already, and a backup overwrites nothing' : message;
    throw new QueueError('INVALID_OPTION', `the backup can't be written to ${file}: ${why}`, {
      cause: error,
    });
  }
}

function flush(file: string): void {
  const descriptor = openSync(file, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
