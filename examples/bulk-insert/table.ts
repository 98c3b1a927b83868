/** A table in a SQLite file. Each transaction waits for the disk once, however many rows it has. */
import { createRequire, isBuiltin } from 'node:module';

process.removeAllListeners('warning'); // Node 22 calls its SQLite experimental
const sqlite = isBuiltin('node:sqlite') ? 'node:sqlite' : '@photostructure/sqlite';
const { DatabaseSync } = createRequire(import.meta.url)(sqlite);

export interface Row {
  readonly id: number;
  readonly amount: number;
}

export class Table {
  transactions = 0;
  readonly #database;
  readonly #insert;

  constructor(file: string) {
    this.#database = new DatabaseSync(file);
    this.#database.exec('PRAGMA synchronous = FULL');
    this.#database.exec('CREATE TABLE rows (id INTEGER PRIMARY KEY, amount REAL CHECK (amount > 0))');
    // A row that is there already is the same row, sent again.
    this.#insert = this.#database.prepare('INSERT INTO rows VALUES (?, ?) ON CONFLICT (id) DO NOTHING');
  }

  /** All of them, or none. */
  insert(rows: readonly Row[]): void {
    this.transactions++;
    this.#database.exec('BEGIN');
    try {
      for (const { id, amount } of rows) this.#insert.run(id, amount);
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  get count(): number {
    return Number(this.#database.prepare('SELECT count(*) AS count FROM rows').get().count);
  }

  close(): void {
    this.#database.close();
  }
}
