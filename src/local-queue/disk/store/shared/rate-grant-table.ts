import type { StartsGrant, StartsRequest } from '../../../../broker.js';
import { grantStarts, idleAt, type StartCounts } from '../../../rate-grants.js';
import type { Database } from '../database.js';
import { bootClock, bootId } from '../owner-table.js';
import { RATES_TABLE } from '../schema.js';
import type { Statements } from '../sqlite.js';

const SQL = {
  read: 'SELECT begun FROM rates WHERE queue = ? AND key = ? AND boot = ?',
  set: 'INSERT OR REPLACE INTO rates (queue, key, boot, begun, idle) VALUES (?, ?, ?, ?, ?)',
  forgetIdle:
    'DELETE FROM rates WHERE (queue, key) IN (SELECT queue, key FROM rates WHERE idle <= ? LIMIT 100)',
  forgetOthers: 'DELETE FROM rates WHERE boot <> ?',
};

/**
 * The starts that the consumers of a queue count together, in all processes of the folder. Their times are on the
 * monotonic clock of the machine's boot; those of another boot no longer count.
 */
export class RateGrantTable {
  readonly #database: Database;
  readonly #boot = bootId();
  #prepared: Statements<typeof SQL> | undefined;

  constructor(database: Database) {
    this.#database = database;
  }

  take(request: StartsRequest): StartsGrant {
    const { queue, key } = request;
    const sql = this.#sql;
    const now = bootClock();
    const stored = sql.read.first(queue, key, this.#boot)?.[0];
    const { counts, grant } = grantStarts(parsed(stored), request, now);
    sql.set.run(queue, key, this.#boot, JSON.stringify(counts), Math.ceil(idleAt(counts)));
    sql.forgetIdle.run(now);
    return grant;
  }

  /** The transaction failed: a table created in it does not exist. */
  forget(): void {
    this.#prepared = undefined;
  }

  /** Prepared within a transaction, which creates the table in a store of an earlier version. */
  get #sql(): Statements<typeof SQL> {
    if (this.#prepared === undefined) {
      this.#database.exec(RATES_TABLE);
      this.#prepared = this.#database.prepareAll(SQL);
      this.#prepared.forgetOthers.run(this.#boot);
    }
    return this.#prepared;
  }
}

/** Undefined if it was never set, or is damaged. */
function parsed(stored: unknown): StartCounts | undefined {
  if (typeof stored !== 'string') return undefined;
  try {
    const { perMs, begun } = JSON.parse(stored) as StartCounts;
    const areNumbers = begun.flat().concat(perMs).every(Number.isFinite);
    return areNumbers ? { perMs, begun } : undefined;
  } catch {
    return undefined;
  }
}
