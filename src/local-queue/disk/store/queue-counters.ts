import type { Database } from './database.js';
import type { Row, Statements } from './sqlite.js';

/** What changes with every message. Read and written once a transaction, however many messages that has. */
export interface Counters {
  /** All messages: those count against the capacity. */
  held: number;
  ready: number;
  /** Messages that were ever stored in it, and that consumers have taken out: handled, or moved as dead letters. */
  stored: number;
  settled: number;
  /** Some process has an idle subscriber: a process that makes a message ready wakes the others. */
  wantsMessages: boolean;
  /** Some process waits for room: a process that makes room wakes the others. */
  wantsRoom: boolean;
}

interface OpenCounters {
  readonly counters: Counters;
  /** As they are in the store. */
  readonly before: Counters;
  /** When `stored` and `settled` were noted last, for the rates. Milliseconds since 1970. */
  readonly notedAt: number;
}

/** How often they are noted while they change. Rates are taken over this time up to three times as long. */
export const RATE_WINDOW_MS = 5000;

const SQL = {
  read: 'SELECT held, ready, stored, settled, wants_messages, wants_room, noted_at FROM queues WHERE id = ?',
  write:
    'UPDATE queues SET held = ?, ready = ?, stored = ?, settled = ?, wants_messages = ?, wants_room = ? WHERE id = ?',
  note: `UPDATE queues SET earlier_at = noted_at, earlier_stored = noted_stored, earlier_settled = noted_settled,
    noted_at = ?, noted_stored = stored, noted_settled = settled WHERE id = ?`,
};

/** The counters of the queues that a transaction looked at, by the numbers of the queues. */
export class QueueCounters {
  readonly #sql: Statements<typeof SQL>;
  readonly #open = new Map<number, OpenCounters>();

  constructor(database: Database) {
    this.#sql = database.prepareAll(SQL);
  }

  /** Another transaction begins. */
  clear(): void {
    this.#open.clear();
  }

  of(id: number): Counters {
    let open = this.#open.get(id);
    if (open === undefined) {
      const row = this.#sql.read.first(id) ?? [];
      const before = countersOf(row);
      open = { counters: { ...before }, before, notedAt: Number(row[6]) };
      this.#open.set(id, open);
    }
    return open.counters;
  }

  *touched(): Iterable<readonly [number, Counters]> {
    for (const [id, { counters }] of this.#open) yield [id, counters];
  }

  /** Writes what changed. */
  write(): void {
    for (const [id, { counters, before, notedAt }] of this.#open) {
      const { held, ready, stored, settled, wantsMessages, wantsRoom } = counters;
      const isFlowing = stored !== before.stored || settled !== before.settled;
      if (
        !isFlowing &&
        held === before.held &&
        ready === before.ready &&
        wantsMessages === before.wantsMessages &&
        wantsRoom === before.wantsRoom
      )
        continue;
      if (isFlowing) this.#note(id, notedAt);
      this.#sql.write.run(held, ready, stored, settled, Number(wantsMessages), Number(wantsRoom), id);
    }
  }

  /** Notes what the counts were before this transaction, once in a while. */
  #note(id: number, notedAt: number): void {
    const now = Date.now();
    // The clock may have been set back.
    if (now - notedAt >= RATE_WINDOW_MS || now < notedAt) this.#sql.note.run(now, id);
  }
}

function countersOf([held, ready, stored, settled, wantsMessages, wantsRoom]: Row): Counters {
  return {
    held: Number(held),
    ready: Number(ready),
    stored: Number(stored),
    settled: Number(settled),
    wantsMessages: wantsMessages === 1,
    wantsRoom: wantsRoom === 1,
  };
}
