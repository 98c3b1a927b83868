import { join } from 'node:path';
import { QueueError } from '../../../errors.js';
import { ADDED_COLUMNS, APPLICATION_ID, FORMAT, SCHEMA } from './schema.js';
import { loadSqlite, type SqliteDatabase, Statement, type Statements } from './sqlite.js';
import type { WriteLock } from './write-lock.js';

/** Holds everything. SQLite keeps two companion files while it is open. */
export const STORE_FILE = 'queue.db';
/** Commits that are not in the file itself yet; and an index of them, shared by all processes. */
export const SIDE_FILES = ['-wal', '-shm'] as const;

/** Pages that SQLite keeps in memory. KiB. */
const CACHE_KIB = 4096;
/** The log of the last transactions may grow while others read; then it shrinks to this. Bytes. */
const LOG_BYTES = 32 * 1024 * 1024;

/** The database of a folder, open in this thread. */
export class Database {
  readonly file: string;
  readonly #lock: WriteLock;
  readonly #database: SqliteDatabase;

  /**
   * Creates the tables if there are none. Throws `STORAGE_ERROR` if the file is not a store of ours, and SQLite's
   * errors.
   */
  constructor(folder: string, lock: WriteLock) {
    this.file = join(folder, STORE_FILE);
    this.#lock = lock;
    this.#database = lock.alone(() => new (loadSqlite().DatabaseSync)(this.file));
    try {
      lock.retry(() => this.#prepare());
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  prepare(sql: string): Statement {
    return this.#lock.alone(() => new Statement(this.#database.prepare(sql)));
  }

  /** The statements of a table, by name. */
  prepareAll<T extends Readonly<Record<string, string>>>(sql: T): Statements<T> {
    const entries = Object.entries(sql).map(([name, text]) => [name, this.prepare(text)]);
    return Object.fromEntries(entries) as Statements<T>;
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  rollBack(): void {
    try {
      this.exec('ROLLBACK');
    } catch {
      // SQLite has done so itself.
    }
  }

  close(): void {
    this.#database.close();
  }

  #prepare(): void {
    // Read before the format: another process may create all of it at any moment.
    const isEmpty = this.#isEmpty();
    if (isEmpty) this.exec('PRAGMA auto_vacuum = INCREMENTAL');
    else this.#checkFormat();
    const mode = this.prepare('PRAGMA journal_mode = WAL').first()?.[0];
    if (mode !== 'wal') {
      throw new QueueError(
        'STORAGE_ERROR',
        `${this.file} is on a file system that can't share memory between processes (its journal mode stays '${mode}'): use a local disk`,
      );
    }
    this.exec(`PRAGMA synchronous = FULL; PRAGMA cache_size = -${CACHE_KIB}; PRAGMA temp_store = MEMORY;
      PRAGMA journal_size_limit = ${LOG_BYTES}`);
    if (!isEmpty) {
      if (this.#missingColumns().length > 0) this.#inTransaction(() => this.#addColumns());
      return;
    }
    this.#inTransaction(() => {
      if (this.#isEmpty()) this.exec(SCHEMA);
    });
    this.#checkFormat();
  }

  #inTransaction(work: () => void): void {
    this.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.exec('COMMIT');
    } catch (error) {
      this.rollBack();
      throw error;
    }
  }

  #missingColumns(): typeof ADDED_COLUMNS {
    const there = this.prepare(
      "SELECT t.name AS tableName, c.name AS columnName FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'",
    );
    const known = new Set(there.all().map(([table, column]) => `${table}.${column}`));
    return ADDED_COLUMNS.filter(([table, column]) => !known.has(`${table}.${column}`));
  }

  #addColumns(): void {
    for (const [table, column, type] of this.#missingColumns())
      this.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`);
  }

  #isEmpty(): boolean {
    return this.prepare('SELECT count(*) FROM sqlite_master').number() === 0;
  }

  #checkFormat(): void {
    const format = this.#pragma('user_version');
    const isOurs = this.#pragma('application_id') === APPLICATION_ID;
    if (isOurs && format === FORMAT) return;
    const found = isOurs
      ? `has format ${format}; this version of millrace supports format ${FORMAT}`
      : 'belongs to another program: it is an SQLite database, but not a store of millrace';
    throw new QueueError('STORAGE_ERROR', `${this.file} ${found}; use another folder`);
  }

  #pragma(name: string): number {
    return this.prepare(`PRAGMA ${name}`).number();
  }
}
