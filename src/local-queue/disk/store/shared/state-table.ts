import type { Database } from '../database.js';
import { STATES_TABLE } from '../schema.js';
import type { Statements } from '../sqlite.js';

const SQL = {
  read: 'SELECT value FROM states WHERE name = ?',
  remove: 'DELETE FROM states WHERE name = ? RETURNING 1',
  set: 'INSERT INTO states (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
};

/** Values that programs share, by name. */
export class SharedStateTable {
  readonly #database: Database;
  #prepared: Statements<typeof SQL> | undefined;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Undefined: it was never set. */
  read(name: string): string | undefined {
    const value = this.#sql.read.first(name)?.[0];
    return typeof value === 'string' ? value : undefined;
  }

  /** Returns how many there were. */
  remove(name: string): number {
    return this.#sql.remove.all(name).length;
  }

  set(name: string, value: string): void {
    this.#sql.set.run(name, value);
  }

  /** The transaction failed: a table created in it does not exist. */
  forget(): void {
    this.#prepared = undefined;
  }

  /** Prepared within a transaction, which creates the table in a store of an earlier version. */
  get #sql(): Statements<typeof SQL> {
    if (this.#prepared === undefined) {
      this.#database.exec(STATES_TABLE);
      this.#prepared = this.#database.prepareAll(SQL);
    }
    return this.#prepared;
  }
}
