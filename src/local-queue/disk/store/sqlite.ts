import { createRequire, isBuiltin } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import { QueueError } from '../../../errors.js';

/** The part of `node:sqlite`, and of the package with the same API, that the store uses. */
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

/** Whether this Node includes SQLite: from 22.13 on. */
export const hasBuiltinSqlite: boolean = isBuiltin(BUILTIN);

/**
 * Throws `STORAGE_ERROR` if this process has no SQLite, or must not use it in this thread: the package aborts the
 * process if a thread is terminated while inside it, and a thread can't prevent its own termination.
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
  // Node 22 warns once per thread that its SQLite is experimental, which users of a queue can't change.
  process.emitWarning = () => {};
  try {
    return require(BUILTIN);
  } finally {
    process.emitWarning = emitWarning;
  }
}

export type Row = readonly (SqliteValue | undefined)[];

/** A prepared statement. */
export class Statement {
  readonly #statement: SqliteStatement;
  readonly #makesArrays: boolean;

  constructor(statement: SqliteStatement) {
    this.#statement = statement;
    this.#makesArrays = statement.setReturnArrays !== undefined;
    statement.setReturnArrays?.(true);
  }

  /** Returns how many rows it changed. */
  run(...values: SqliteValue[]): number {
    return Number(this.#statement.run(...values).changes);
  }

  /** The rows, with their columns in the order of the query. */
  all(...values: SqliteValue[]): Row[] {
    const rows = this.#statement.all(...values);
    return this.#makesArrays ? (rows as Row[]) : rows.map((row) => Object.values(row as object));
  }

  first(...values: SqliteValue[]): Row | undefined {
    return this.all(...values)[0];
  }

  /** The first column of the first row as a number; 0 if there is none. */
  number(...values: SqliteValue[]): number {
    return Number(this.first(...values)?.[0] ?? 0);
  }
}

export type Statements<T> = { readonly [Name in keyof T]: Statement };

/** How long exiting waits for the store thread to leave SQLite. A slow disk may delay it. */
const LIMIT_MS = 10_000;

const INSIDE = 0;
const STOP = 1;

/**
 * Keeps the store thread out of SQLite while its process exits: the SQLite package for Node 20 aborts the process when
 * a thread ends in it. Not needed if Node includes SQLite.
 */
export class ExitGuard {
  readonly memory: SharedArrayBuffer | undefined;
  readonly #state: Int32Array | undefined;
  /** In the store thread: calls may be nested. */
  #isInside = false;

  /** With the memory of the main thread's guard, for the store thread's. */
  constructor(memory = hasBuiltinSqlite ? undefined : new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#state = memory && new Int32Array(memory);
  }

  /** In the main thread, as long as the store thread exists. */
  arm(): void {
    if (this.#state === undefined) return;
    armed.add(this);
    if (armed.size === 1) process.on('exit', stopAll);
  }

  disarm(): void {
    armed.delete(this);
    if (armed.size === 0) process.off('exit', stopAll);
  }

  /** In the store thread: around all calls of SQLite. */
  run<T>(work: () => T): T {
    const state = this.#state;
    if (state === undefined || this.#isInside) return work();
    Atomics.store(state, INSIDE, 1);
    if (Atomics.load(state, STOP) === 1) {
      this.#leave(state);
      Atomics.wait(state, STOP, 1);
    }
    this.#isInside = true;
    try {
      return work();
    } finally {
      this.#isInside = false;
      this.#leave(state);
    }
  }

  #leave(state: Int32Array): void {
    Atomics.store(state, INSIDE, 0);
    Atomics.notify(state, INSIDE);
  }

  /** Returns when the store thread is not in SQLite, and will not be. */
  stop(): void {
    const state = this.#state as Int32Array;
    Atomics.store(state, STOP, 1);
    Atomics.wait(state, INSIDE, 1, LIMIT_MS);
  }
}

const armed = new Set<ExitGuard>();

function stopAll(): void {
  for (const exitGuard of armed) exitGuard.stop();
}
