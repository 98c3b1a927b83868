import type { Database } from '../database.js';
import type { QueueTable } from '../queue-table.js';
import type { Statements } from '../sqlite.js';
import { CLOCK_SLACK_MS, type Handled, type HeaderChange, type MessageTable } from './message-table.js';

const SQL = {
  retry:
    'UPDATE messages SET owner = NULL, taken_at = NULL, redelivered = 1, attempt = ?, headers = ?, checksum = ?, delayed = ?, due = ? WHERE id = ?',
  due: 'SELECT id, queue FROM messages WHERE due <= ? ORDER BY due, id LIMIT ?',
  makeReady: 'UPDATE messages SET due = NULL, delayed = NULL, place = ? WHERE id = ?',
  aheadOfTheClock: 'SELECT id, due - delayed FROM messages WHERE delayed > ? ORDER BY delayed LIMIT ?',
  setDue: 'UPDATE messages SET delayed = ?, due = ? WHERE id = ?',
};

/**
 * Messages that wait for their next attempt, or for their first: those with a `due` time. They count as held by their
 * queue.
 */
export class DelayedMessages {
  readonly #messages: MessageTable;
  readonly #queues: QueueTable;
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database, messages: MessageTable, queues: QueueTable) {
    this.#messages = messages;
    this.#queues = queues;
    this.#sql = database.prepareAll(SQL);
  }

  /** A message that was handled waits for its next attempt. `change`: of its headers, in JSON. */
  retry(message: Handled, attempt: number, change: HeaderChange, delayMs: number): void {
    const { id, queue } = message;
    if (!this.#messages.isThere(queue)) {
      this.#messages.remove([message]);
      return;
    }
    const { headers, checksum } = this.#messages.changed(id, change);
    // The wall clock runs on over restarts. Rounded up, plus one for the fraction that it does not show.
    const now = Date.now();
    this.#sql.retry.run(attempt, headers, checksum, now, now + Math.ceil(delayMs) + 1, id);
  }

  /** Those that are due become ready, at most `limit`, behind all others of their rank. */
  makeReady(now: number, limit: number): void {
    // The clock was ahead when these began to wait. They wait as long from now on.
    for (const [id, delay] of this.#sql.aheadOfTheClock.all(now + CLOCK_SLACK_MS, limit)) {
      this.#sql.setDue.run(now, now + Number(delay), Number(id));
    }
    for (const [id, queueId] of this.#sql.due.all(now, limit)) {
      const queue = this.#queues.byId(Number(queueId));
      if (queue === undefined) this.#messages.drop(Number(id), undefined);
      else
        this.#queues.counters(queue).ready += this.#sql.makeReady.run(this.#queues.nextNumber(), Number(id));
    }
  }
}
