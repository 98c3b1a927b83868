import { expiredFailure } from '../../../../common/message/expiry.js';
import type { Database } from '../database.js';
import { ensureDeadLetterQueue } from '../queue-definition.js';
import { makeDeadLetter } from '../settle.js';
import type { Statements } from '../sqlite.js';
import { MAX_ROWS_PER_TRANSACTION, type WriteTransaction } from '../transaction.js';

const SQL = {
  expired:
    'SELECT id, queue, attempt, expires FROM messages WHERE expires <= ? AND owner IS NULL AND due IS NULL ORDER BY expires LIMIT ?',
};

/** Ready messages that have expired; those that are delayed or handled are checked by their next receiver. */
export class ExpiredMessages {
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database) {
    this.#sql = database.prepareAll(SQL);
  }

  /** They become dead letters, over the capacity, since nothing here could wait for room; or they are dropped. */
  remove(transaction: WriteTransaction, now: number): void {
    const { messages, queues } = transaction;
    const expired = this.#sql.expired.all(now, MAX_ROWS_PER_TRANSACTION);
    for (const row of expired) {
      const [id = 0, queueId = 0, attempt = 0, expiresAt = 0] = row.map(Number);
      const queue = queues.byId(queueId);
      if (queue === undefined) {
        messages.drop(id, undefined);
        continue;
      }
      messages.withdraw(queue);
      const target = queue.spec.onExpired === 'drop' ? undefined : ensureDeadLetterQueue(queues, queue);
      if (target === undefined) messages.drop(id, queue);
      else makeDeadLetter(transaction, { id, queue, attempt }, target, expiredFailure(expiresAt));
    }
    if (expired.length === MAX_ROWS_PER_TRANSACTION) transaction.unfinished = true;
  }
}
