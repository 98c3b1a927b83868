import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { QueueSpec } from '../../broker.js';
import { deadLetterSpecOf } from '../../common/definitions/queue-spec.js';
import { quote } from '../../common/options.js';
import type { Difference } from '../queue-mismatch.js';
import { Database, STORE_FILE } from './store/database.js';
import { compareDefinitions } from './store/queue-definition.js';
import { QueueTable } from './store/queue-table.js';
import { checkSqlite, ExitGuard } from './store/sqlite.js';
import { storageError } from './store/storage-error.js';
import { asStored } from './store/stored-spec.js';
import { WriteLock } from './store/write-lock.js';

/** How a queue in a folder compares with its definition. */
export interface StoredQueueComparison {
  readonly name: string;
  /** The properties for which a declaration is refused: `type is 'classic' there and 'quorum' here`. */
  readonly differences: readonly string[];
  /** The properties that a declaration changes. */
  readonly changes: readonly string[];
}

/** Whether anything was ever stored in the folder. Creates nothing. */
export async function hasStore(folder: string): Promise<boolean> {
  try {
    return (await stat(join(folder, STORE_FILE))).size > 0;
  } catch (error) {
    // Other faults of the folder show when it is opened.
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
}

/** Identifies the file of a store. Undefined if there is none, or the file system does not know when it was created. */
export async function storeIdentity(folder: string): Promise<string | undefined> {
  try {
    const { dev, ino, birthtimeNs } = await stat(join(folder, STORE_FILE), { bigint: true });
    // The number of a file that was removed is soon given to another one.
    return birthtimeNs > 0n ? `${dev}/${ino}/${birthtimeNs}` : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Compares the queue and the dead-letter queue of a definition with those in the folder, which must have a store. One that
 * is missing has no differences. Changes nothing. Rejects with `STORAGE_ERROR`.
 */
export async function compareStoredQueues(folder: string, spec: QueueSpec): Promise<StoredQueueComparison[]> {
  checkSqlite();
  try {
    const database = new Database(folder, new WriteLock(new ExitGuard()));
    try {
      const queues = new QueueTable(database);
      queues.begin();
      const deadLetterSpec = deadLetterSpecOf(spec);
      const isMatched = spec.declare === 'match';
      const queue = compare(queues, spec, isMatched);
      if (deadLetterSpec === undefined) return [queue];
      const deadLetters = compare(queues, deadLetterSpec, isMatched);
      // Only an explicit capacity changes a dead-letter queue.
      return [queue, deadLetterSpec.capacity === undefined ? { ...deadLetters, changes: [] } : deadLetters];
    } finally {
      database.close();
    }
  } catch (error) {
    throw storageError(error, join(folder, STORE_FILE));
  }
}

function compare(queues: QueueTable, spec: QueueSpec, isMatched: boolean): StoredQueueComparison {
  const { name } = spec;
  const existing = queues.byName(name);
  if (existing === undefined || !isMatched) return { name, differences: [], changes: [] };
  const { bindings: _, unbind: __, ...wanted } = asStored(spec);
  const { differences, changes } = compareDefinitions(wanted, existing.spec);
  return { name, differences: differences.map(inWords), changes: changes.map(inWords) };
}

function inWords({ property, there, here }: Difference): string {
  return `${property} is ${quote(there)} there and ${quote(here)} here`;
}
