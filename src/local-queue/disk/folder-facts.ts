import { access, constants, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { checkFolder } from './folder.js';
import { Database, STORE_FILE } from './store/database.js';
import { livingProcesses } from './store/owner-table.js';
import { checkSqlite, ExitGuard } from './store/sqlite.js';
import { storageError } from './store/storage-error.js';
import { WriteLock } from './store/write-lock.js';

/** A folder of queues, as stored on disk. */
export interface FolderFacts {
  readonly path: string;
  /** Whether the folder is there. */
  readonly exists: boolean;
  /** Whether this user can use the folder or, if it does not exist, create it. */
  readonly writable: boolean;
  /** The permissions of the folder, such as `0o700`; undefined if there is no folder. */
  readonly mode: number | undefined;
  readonly freeBytes: number;
  /** Undefined where nothing was ever stored. */
  readonly store: StoreFacts | undefined;
}

export interface StoreFacts {
  readonly bytes: number;
  /** The part of these that the file keeps for the next messages. */
  readonly freeBytes: number;
  /** The faults that SQLite finds in the file; none: it is intact. */
  readonly damage: readonly string[];
  readonly queues: readonly {
    readonly name: string;
    /** Messages that can be delivered. */
    readonly ready: number;
    /** All messages, including those being handled or waiting for a retry. */
    readonly held: number;
  }[];
  /** The process ids of the consumers. */
  readonly processes: readonly number[];
}

/** Creates nothing. Rejects with `STORAGE_ERROR` and the reason if the folder can't be used. */
export async function folderFacts(folder: string): Promise<FolderFacts> {
  checkSqlite();
  const path = resolve(folder);
  const { at, mode } = await nearest(path);
  const { bavail, bsize } = await statfs(at);
  const facts = {
    path,
    exists: at === path,
    mode: at === path ? mode : undefined,
    freeBytes: bavail * bsize,
  };
  const writable = await access(at, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!facts.exists) return { ...facts, writable, store: undefined };
  const file = join(await checkFolder(path), STORE_FILE);
  const size = await stat(file).then(
    (stats) => stats.size,
    () => 0,
  );
  if (size === 0) return { ...facts, writable, store: undefined };
  return { ...facts, writable, store: { bytes: size, ...contents(path, file) } };
}

/** The folder, or its nearest existing parent. */
async function nearest(path: string): Promise<{ readonly at: string; readonly mode: number }> {
  try {
    return { at: path, mode: (await stat(path)).mode & 0o777 };
  } catch (error) {
    const above = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === path) return { at: '/', mode: 0 };
    return nearest(above);
  }
}

function contents(folder: string, file: string): Omit<StoreFacts, 'bytes'> {
  try {
    const database = new Database(folder, new WriteLock(new ExitGuard()));
    try {
      return {
        freeBytes:
          database.prepare('PRAGMA freelist_count').number() * database.prepare('PRAGMA page_size').number(),
        damage: damageIn(database),
        queues: queuesIn(database),
        processes: livingProcesses(database),
      };
    } finally {
      database.close();
    }
  } catch (error) {
    throw storageError(error, file);
  }
}

function queuesIn(database: Database): StoreFacts['queues'] {
  const rows = database.prepare('SELECT name, ready, held FROM queues WHERE name IS NOT NULL ORDER BY name');
  return rows.all().map(([name, ready, held]) => ({
    name: String(name),
    ready: Number(ready),
    held: Number(held),
  }));
}

/** At most this many of its sentences. */
const SENTENCES = 10;

function damageIn(database: Database): string[] {
  const sentences = database
    .prepare(`PRAGMA quick_check(${SENTENCES})`)
    .all()
    .map(([text]) => String(text));
  return sentences.length === 1 && sentences[0] === 'ok' ? [] : sentences;
}
