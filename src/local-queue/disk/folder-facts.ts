import { access, constants, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { checkFolder, prepareFolder } from './folder.js';
import { isGone, ownIdentity, type ProcessIdentity } from './process-identity.js';
import { parseQueue } from './queue-description.js';
import { QueueTable } from './queue-table.js';
import { storageError } from './storage-error.js';
import { STORE_FILE } from './store-files.js';
import { closeTables, openTables, type Tables } from './tables.js';

/** A folder of queues, as it lies on the disk. */
export interface FolderFacts {
  readonly path: string;
  /** Whether the folder is there. */
  readonly exists: boolean;
  /** Whether this user can use the folder or, where there is none, make it. */
  readonly writable: boolean;
  /** The permissions of the folder, as `0o700`; undefined where there is none. */
  readonly mode: number | undefined;
  readonly freeBytes: number;
  /** Undefined where nothing was ever stored. */
  readonly store: StoreFacts | undefined;
}

export interface StoreFacts {
  readonly bytes: number;
  readonly queues: readonly {
    readonly name: string;
    /** Messages that can be delivered. */
    readonly ready: number;
    /** All messages: those being handled, and those that wait for a retry, too. */
    readonly held: number;
  }[];
  /** The numbers of the processes that take messages. */
  readonly processes: readonly number[];
}

/** Makes nothing. Rejects with `STORAGE_ERROR` where the folder can't be used, and says why. */
export async function folderFacts(folder: string): Promise<FolderFacts> {
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
  await prepareFolder(path);
  return { ...facts, writable, store: { bytes: size, ...(await contents(file)) } };
}

/** The folder, or the nearest one above it that is there. */
async function nearest(path: string): Promise<{ readonly at: string; readonly mode: number }> {
  try {
    return { at: path, mode: (await stat(path)).mode & 0o777 };
  } catch (error) {
    const above = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === path) return { at: '/', mode: 0 };
    return nearest(above);
  }
}

async function contents(file: string): Promise<Omit<StoreFacts, 'bytes'>> {
  let tables: Tables;
  try {
    tables = openTables(file);
  } catch (error) {
    throw storageError(error, file);
  }
  try {
    return { queues: queuesOf(tables), processes: processesOf(tables) };
  } catch (error) {
    throw storageError(error, file);
  } finally {
    await closeTables(tables);
  }
}

function queuesOf(tables: Tables): StoreFacts['queues'] {
  const table = new QueueTable(tables);
  table.begin();
  return [...tables.queues.getRange()].map(({ value }) => {
    const queue = parseQueue(value);
    const { ready, held } = table.counters(queue);
    return { name: queue.spec.name, ready, held };
  });
}

function processesOf(tables: Tables): number[] {
  const self = ownIdentity();
  const living = [...tables.owners.getRange()]
    .map(({ value }): ProcessIdentity => JSON.parse(value.toString()))
    .filter((owner) => !isGone(owner, self));
  return [...new Set(living.map(({ pid }) => pid))];
}
