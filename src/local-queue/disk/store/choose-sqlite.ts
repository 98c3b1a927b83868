import { createRequire, isBuiltin } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import { QueueError } from '../../../errors.js';

/** What the store uses of `node:sqlite`, and of the package with the same API. */
export interface Sqlite {
  readonly DatabaseSync: new (path: string) => SqliteDatabase;
}

export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

export interface SqliteStatement {
  run(...values: SqliteValue[]): { readonly changes: number | bigint };
  all(...values: SqliteValue[]): unknown[];
  /** Missing before Node 22.16. */
  setReturnArrays?(wanted: boolean): void;
}

export type SqliteValue = null | number | string | Uint8Array;

const BUILTIN = 'node:sqlite';
const PACKAGE = '@photostructure/sqlite';

const require = createRequire(import.meta.url);

/** Whether this Node brings SQLite along: from 22.13 on. */
export const hasBuiltinSqlite: boolean = isBuiltin(BUILTIN);

/**
 * Throws `STORAGE_ERROR` where this process has no SQLite, or must not use it in this thread: the package ends the
 * whole process when a thread ends while it is in it, which nobody can keep a thread from that has no control over
 * its own end.
 */
export function checkSqlite(): void {
  if (hasBuiltinSqlite) return;
  if (!isMainThread) {
    throw new QueueError(
      'STORAGE_ERROR',
      `on Node ${process.version} queues in a folder can be used on the main thread only: use Node 22.13 or newer, or open the folder there`,
    );
  }
  try {
    require.resolve(PACKAGE);
  } catch (cause) {
    throw new QueueError(
      'STORAGE_ERROR',
      `queues in a folder need Node 22.13 or newer, or on this Node (${process.version}) the package '${PACKAGE}', which is not installed: npm install ${PACKAGE}@1.2`,
      { cause },
    );
  }
}

export function loadSqlite(): Sqlite {
  if (!hasBuiltinSqlite) return require(PACKAGE);
  const { emitWarning } = process;
  // Node 22 calls its SQLite experimental, once per thread. Whoever uses a queue can do nothing about that.
  process.emitWarning = () => {};
  try {
    return require(BUILTIN);
  } finally {
    process.emitWarning = emitWarning;
  }
}
