import { DEFAULT_PRIORITY } from '../../../../broker.js';
import type { Database } from '../database.js';
import type { QueueTable, StoredQueue } from '../queue-table.js';
import type { Row, Statements } from '../sqlite.js';
import {
  COLUMNS,
  checksumOf,
  columnsOf,
  type MessageColumns,
  MessageInserts,
  placeChecksum,
  salvaged,
  textChecksum,
} from './message-columns.js';

/** A message that some owner handles. */
export interface Handled {
  readonly id: number;
  readonly queue: StoredQueue;
  /** Which attempt its delivery is. */
  readonly attempt: number;
}

export interface Taken {
  readonly id: number;
  readonly attempt: number;
  readonly redelivered: boolean;
  readonly columns: MessageColumns;
  /** It is corrupt: its checksum does not match. */
  readonly isDamaged: boolean;
}

/** Converts headers, from JSON to JSON; null: none. */
export type HeaderChange = (headers: string | null) => string;

/** A message returned from an owner that is gone. */
export interface Orphan {
  readonly id: number;
  readonly queueId: number;
  readonly attempt: number;
  readonly returns: number;
}

const IS_READY = 'owner IS NULL AND due IS NULL';

/** Rows are read in portions that grow while messages are small: not thousands of bodies of many MiB. */
const FIRST_PORTION = 16;

/** Clock differences up to this count as jitter. Milliseconds. */
export const CLOCK_SLACK_MS = 1000;

const SQL = {
  ready: `SELECT id, attempt, redelivered, checksum, ${COLUMNS} FROM messages INDEXED BY ready WHERE queue = ? AND ${IS_READY} ORDER BY rank DESC, place LIMIT ?`,
  take: 'UPDATE messages SET owner = ?, taken_at = ? WHERE id BETWEEN ? AND ?',
  remove: 'DELETE FROM messages WHERE id BETWEEN ? AND ?',
  putBack:
    'UPDATE messages SET owner = NULL, taken_at = NULL, redelivered = max(redelivered, ?) WHERE id BETWEEN ? AND ?',
  changeable: 'SELECT headers, expires, checksum FROM messages WHERE id = ?',
  again:
    'UPDATE messages SET owner = NULL, taken_at = NULL, redelivered = 1, attempt = ?, headers = ?, checksum = ?, place = ? WHERE id = ?',
  move: `UPDATE messages SET owner = NULL, taken_at = NULL, queue = ?, place = ?, attempt = 1, returns = 0,
    redelivered = 0, headers = ?, expires = NULL, checksum = ? WHERE id = ?`,
  nextDue: 'SELECT min(due) FROM messages WHERE due IS NOT NULL',
  nextExpiry: 'SELECT min(expires) FROM messages WHERE expires IS NOT NULL AND owner IS NULL AND due IS NULL',
  isAheadOfTheClock: 'SELECT 1 FROM messages WHERE delayed > ? LIMIT 1',
  handled: 'SELECT id, queue, attempt, returns FROM messages WHERE owner = ? ORDER BY id LIMIT ?',
  reclaim:
    'UPDATE messages SET owner = NULL, taken_at = NULL, attempt = attempt + 1, returns = returns + 1, redelivered = 1 WHERE id = ?',
  purge: `DELETE FROM messages WHERE id IN (SELECT id FROM messages INDEXED BY ready WHERE queue = ? AND ${IS_READY} LIMIT ?)`,
  purgeDelayed:
    'DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE due IS NOT NULL AND queue = ? LIMIT ?)',
};

/**
 * Where the messages of a queue are, and how they move. All of it happens within a transaction.
 *
 *   insert ──► ready ──take──► handled ──remove──► gone        (insertDelayed ──► delayed)
 *               ▲ ▲              │ │ └──move──► ready in another queue
 *               │ ├──putBack─────┘ │
 *               │ └──redeliver─────┤
 *               └──due── delayed ◄─┘ DelayedMessages.retry
 */
export class MessageTable {
  readonly #queues: QueueTable;
  readonly #inserts: MessageInserts;
  readonly #sql: Statements<typeof SQL>;

  constructor(database: Database, queues: QueueTable) {
    this.#queues = queues;
    this.#inserts = new MessageInserts(database, queues);
    this.#sql = database.prepareAll(SQL);
  }

  /** New messages, behind all others of their rank. The caller checks for room. */
  insert(queue: StoredQueue, rank: number, rows: readonly MessageColumns[]): void {
    this.insertInAll([queue], rank, rows);
  }

  /** New messages, in each of the queues. */
  insertInAll(queues: readonly StoredQueue[], rank: number, rows: readonly MessageColumns[]): void {
    const queueIds = queues.map(({ id }) => id);
    this.#inserts.run(queueIds, rank, rows);
    for (const queue of queues) this.#queues.comeIn(queue, rows.length, rows.length);
  }

  /** A new message that waits until it is due, in milliseconds since 1970. It counts as held. */
  insertDelayed(queue: StoredQueue, rank: number, row: MessageColumns, dueAt: number): void {
    this.#queues.comeIn(queue, 1, this.#inserts.delayed(queue.id, rank, row, dueAt) ? 0 : 1);
  }

  /** Gives the first ready messages to an owner, at most `limit`, and about that many bytes. */
  take(queue: StoredQueue, owner: number, limit: number, maxBytes: number): Taken[] {
    const taken: Taken[] = [];
    const now = Date.now();
    let bytes = 0;
    let portion = FIRST_PORTION;
    while (taken.length < limit && bytes < maxBytes) {
      const count = Math.min(portion, limit - taken.length);
      const rows = this.#sql.ready.all(queue.id, count);
      for (const row of rows) {
        const message = takenOf(row, queue);
        bytes += message.columns[8].length;
        taken.push(message);
      }
      this.#change(
        rows.map(([id]) => Number(id)),
        (first, last) => this.#sql.take.run(owner, now, first, last),
      );
      if (rows.length < count) break;
      if ((bytes / taken.length) * portion * 2 < maxBytes) portion *= 2;
    }
    const counters = this.#queues.counters(queue);
    counters.ready -= taken.length;
    // The table may have been modified externally; reset the counter, or the search would never end.
    if (taken.length === 0) counters.ready = 0;
    return taken;
  }

  /** Removes handled messages for good. */
  remove(messages: readonly Handled[]): void {
    for (const [queue, ids] of byQueue(messages)) {
      const count = this.#change(ids, (first, last) => this.#sql.remove.run(first, last));
      if (this.isThere(queue)) this.#queues.takenOut(queue, count);
    }
  }

  /** Returns messages that were being handled to their places. `delivered`: they may have been handled in part. */
  putBack(messages: readonly Handled[], delivered: boolean): void {
    for (const [queue, ids] of byQueue(messages)) {
      if (!this.isThere(queue)) {
        this.#change(ids, (first, last) => this.#sql.remove.run(first, last));
        continue;
      }
      this.#queues.counters(queue).ready += this.#change(ids, (first, last) =>
        this.#sql.putBack.run(Number(delivered), first, last),
      );
    }
  }

  /** A message that was handled is redelivered at once, as that attempt. `change`: of its headers, in JSON. */
  redeliver(message: Handled, attempt: number, change: HeaderChange): void {
    const { id, queue } = message;
    if (!this.isThere(queue)) {
      this.remove([message]);
      return;
    }
    const { headers, checksum } = this.changed(id, change);
    const place = this.#queues.nextNumber();
    this.#queues.counters(queue).ready += this.#sql.again.run(attempt, headers, checksum, place, id);
  }

  /** Moves a message to another queue, behind all others there; it no longer expires. */
  move({ id, queue }: Pick<Handled, 'id' | 'queue'>, target: StoredQueue, change: HeaderChange): void {
    const { headers, checksum } = this.changed(id, change, { from: queue.id, to: target.id });
    const count = this.#sql.move.run(target.id, this.#queues.nextNumber(), headers, checksum, id);
    if (this.isThere(queue)) this.#queues.takenOut(queue, count);
    this.#queues.comeIn(target, count, count);
  }

  /**
   * A damaged message moves to `target`, which may be its own queue, in its present form: with headers that say so, and
   * without unreadable properties.
   */
  salvage({ id, columns }: Taken, queue: StoredQueue, target: StoredQueue, headers: string): void {
    this.#sql.remove.run(id, id);
    this.#queues.counters(queue).held -= 1;
    this.insert(target, columns[5] ?? DEFAULT_PRIORITY, [salvaged(columns, headers)]);
  }

  /** The messages that an owner handles, at most `limit`. */
  handledBy(owner: number, limit: number): Orphan[] {
    return this.#sql.handled.all(owner, limit).map(([id, queue, attempt, returns]) => ({
      id: Number(id),
      queueId: Number(queue),
      attempt: Number(attempt),
      returns: Number(returns),
    }));
  }

  /** A message returns from an owner that is gone. */
  reclaim(id: number, queue: StoredQueue): void {
    this.#queues.counters(queue).ready += this.#sql.reclaim.run(id);
  }

  /** Removes a message that is not ready, of a queue that may be gone. */
  drop(id: number, queue: StoredQueue | undefined): void {
    const count = this.#sql.remove.run(id, id);
    if (queue !== undefined) this.#queues.counters(queue).held -= count;
  }

  /** When the next delayed message is due, or the next ready one expires, in milliseconds since 1970; infinite: none. */
  nextDue(now: number): number {
    if (this.#sql.isAheadOfTheClock.first(now + CLOCK_SLACK_MS) !== undefined) return now;
    const [due, expiry] = [this.#sql.nextDue, this.#sql.nextExpiry].map((sql) => sql.first()?.[0]);
    return Math.min(
      typeof due === 'number' ? due : Number.POSITIVE_INFINITY,
      typeof expiry === 'number' ? expiry : Number.POSITIVE_INFINITY,
    );
  }

  /** A ready message that will be removed or moved, like one that is being handled. */
  withdraw(queue: StoredQueue): void {
    this.#queues.counters(queue).ready -= 1;
  }

  /** Removes ready messages, at most `limit`, and returns how many. */
  purge(queue: StoredQueue, limit: number): number {
    const purged = this.#sql.purge.run(queue.id, limit);
    const counters = this.#queues.counters(queue);
    counters.ready -= purged;
    counters.held -= purged;
    return purged;
  }

  /** Removes messages of a removed queue, at most `limit`; returns how many. Those being handled go when settled. */
  purgeRemoved(queueId: number, limit: number): number {
    const purged = this.#sql.purge.run(queueId, limit);
    return purged < limit ? purged + this.#sql.purgeDelayed.run(queueId, limit - purged) : purged;
  }

  /** Other headers, and the checksum with them, by which a damaged message stays damaged. */
  changed(
    id: number,
    change: HeaderChange,
    move?: { readonly from: number; readonly to: number },
  ): { readonly headers: string; readonly checksum: number } {
    const [before = null, expires = null, checksum = 0] = this.#sql.changeable.first(id) ?? [];
    const old = typeof before === 'string' ? before : null;
    const headers = change(old);
    const moved = move === undefined ? 0 : placeChecksum(move.from, expires) ^ placeChecksum(move.to, null);
    return {
      headers,
      checksum: (Number(checksum) ^ textChecksum(old) ^ textChecksum(headers) ^ moved) >>> 0,
    };
  }

  /** Nothing may be counted for a queue that was removed while its messages were being handled. */
  isThere(queue: StoredQueue): boolean {
    return this.#queues.byId(queue.id) !== undefined;
  }

  /** Changes messages, by statements for a range of numbers: consecutive numbers need one statement. */
  #change(ids: number[], statement: (first: number, last: number) => number): number {
    ids.sort((one, other) => one - other);
    let changed = 0;
    let begin = 0;
    for (let index = 1; index <= ids.length; index++) {
      const last = ids[index - 1] as number;
      if (ids[index] === last + 1) continue;
      changed += statement(ids[begin] as number, last);
      begin = index;
    }
    return changed;
  }
}

function byQueue(messages: readonly Handled[]): Map<StoredQueue, number[]> {
  const ids = new Map<StoredQueue, number[]>();
  for (const { id, queue } of messages) {
    const others = ids.get(queue);
    if (others === undefined) ids.set(queue, [id]);
    else others.push(id);
  }
  return ids;
}

function takenOf(row: Row, queue: StoredQueue): Taken {
  const columns = columnsOf(row, 4);
  return {
    id: Number(row[0]),
    attempt: Number(row[1]),
    redelivered: row[2] === 1,
    columns,
    isDamaged: row[3] !== checksumOf(queue.id, columns),
  };
}
