import { expiredFailure } from '../../../common/expiry.js';
import type { Database } from './database.js';
import { CLOCK_SLACK_MS } from './message-table.js';
import { ensureDeadLetterQueue } from './queue-definition.js';
import { makeDeadLetter } from './settle.js';
import type { Statements } from './sqlite.js';
import { MAX_ROWS_PER_TRANSACTION, type WriteTransaction } from './transaction.js';

const SQL = {
  due: 'SELECT id, queue FROM messages WHERE due <= ? ORDER BY due, id LIMIT ?',
  aheadOfTheClock: 'SELECT id, due - delayed FROM messages WHERE delayed > ? ORDER BY delayed LIMIT ?',
  setDue: 'UPDATE messages SET delayed = ?, due = ? WHERE id = ?',
  expired:
    'SELECT id, queue, attempt, expires FROM messages WHERE expires <= ? AND owner IS NULL AND due IS NULL ORDER BY expires LIMIT ?',
};

/** Timed changes of messages: delayed ones become ready, and ready ones expire. */
export class DelayedAndExpiredMessages {
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database) {
    this.#sql = database.prepareAll(SQL);
  }

  settle(transaction: WriteTransaction, now: number): void {
    this.#makeReady(transaction, now);
    this.#removeExpired(transaction, now);
  }

  #makeReady({ messages, queues }: WriteTransaction, now: number): void {
    // The clock was ahead when these began to wait. They wait as long from now on.
    for (const [id, delay] of this.#sql.aheadOfTheClock.all(now + CLOCK_SLACK_MS, MAX_ROWS_PER_TRANSACTION)) {
      this.#sql.setDue.run(now, now + Number(delay), Number(id));
    }
    for (const [id, queueId] of this.#sql.due.all(now, MAX_ROWS_PER_TRANSACTION)) {
      const queue = queues.byId(Number(queueId));
      if (queue === undefined) messages.drop(Number(id), undefined);
      else messages.makeReady(Number(id), queue);
    }
  }

  /**
   * Ready messages that have expired; those that are delayed or handled are checked by their next receiver. Nothing
   * here could wait for room: the dead letters are admitted over the capacity.
   */
  #removeExpired(transaction: WriteTransaction, now: number): void {
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
