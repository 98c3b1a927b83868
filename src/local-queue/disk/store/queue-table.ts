import type { QueueSpec } from '../../../broker.js';
import type { DeadLetterTarget } from '../../local-broker.js';
import type { Database } from './database.js';
import type { Row, Statements } from './sqlite.js';
import { parseSpec, specText } from './stored-spec.js';

/** A queue as it was declared. */
export interface StoredQueue extends DeadLetterTarget {
  /** A queue that is removed and created again gets another one. */
  readonly id: number;
  readonly spec: QueueSpec;
  /** Whose exclusive queue this is. */
  readonly owner: number | undefined;
  /** Whether it is paused: its subscribers get nothing. Stored as a property of the definition. */
  readonly paused: boolean;
}

/** The default capacity: as many as the disk holds. */
export const DEFAULT_CAPACITY = Number.POSITIVE_INFINITY;

export function capacityOf(queue: StoredQueue): number {
  return queue.spec.capacity ?? DEFAULT_CAPACITY;
}

/**
 * The counters that change with every message. Read and written once per transaction, regardless of its number of
 * messages.
 */
export interface Counters {
  /** All messages: those count against the capacity. */
  held: number;
  ready: number;
  /** Messages ever stored in it, and those that consumers settled: handled, or moved as dead letters. */
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
  /** When `stored` and `settled` were last recorded, for the rates. Milliseconds since 1970. */
  readonly notedAt: number;
}

/** How often they are recorded while they change. Rates cover one to three times this time. */
export const RATE_WINDOW_MS = 5000;

const SQL = {
  counters:
    'SELECT held, ready, stored, settled, wants_messages, wants_room, noted_at FROM queues WHERE id = ?',
  setCounters:
    'UPDATE queues SET held = ?, ready = ?, stored = ?, settled = ?, wants_messages = ?, wants_room = ? WHERE id = ?',
  note: `UPDATE queues SET earlier_at = noted_at, earlier_stored = noted_stored, earlier_settled = noted_settled,
    noted_at = ?, noted_stored = stored, noted_settled = settled WHERE id = ?`,
  store: 'SELECT revision, last_message FROM store',
  setStore: 'UPDATE store SET revision = ?, last_message = ?',
  all: 'SELECT id, name, definition, dead_letter_queue, owner FROM queues',
  insert: 'INSERT INTO queues (name, definition, dead_letter_queue, owner) VALUES (?, ?, ?, ?) RETURNING id',
  update: 'UPDATE queues SET definition = ?, dead_letter_queue = ? WHERE id = ?',
  remove: 'UPDATE queues SET name = NULL, owner = NULL WHERE id = ?',
  unbind: 'DELETE FROM bindings WHERE queue = ?',
  delete: 'DELETE FROM queues WHERE id = ?',
};

/**
 * The queues of the store. Definitions are kept in memory and read again when a process, this one or another, has
 * changed any; counters live as long as a transaction. `begin` and `end` enclose one.
 */
export class QueueTable {
  readonly #sql: Statements<typeof SQL>;
  readonly #byName = new Map<string, StoredQueue>();
  readonly #byId = new Map<number, StoredQueue>();
  readonly #open = new Map<number, OpenCounters>();
  #removed: number[] = [];
  /** By id, as last read: parsing thousands of definitions is slow, and few change. */
  #read = new Map<Row[0], { readonly row: Row; readonly queue: StoredQueue }>();
  /** The version of the definitions in memory. */
  #revision = -1;
  #readings = 0;
  /** Called with each queue that this process removes. */
  onRemoved: (queue: StoredQueue) => void = () => {};
  /** As they are in the store. */
  #stored = { revision: 0, lastMessage: 0 };
  #lastMessage = 0;

  constructor(database: Database) {
    this.#sql = database.prepareAll(SQL);
  }

  begin(): void {
    this.#open.clear();
    const [revision, lastMessage] = this.#sql.store.first() ?? [];
    this.#stored = { revision: Number(revision), lastMessage: Number(lastMessage) };
    this.#lastMessage = this.#stored.lastMessage;
    if (this.#stored.revision === this.#revision) return;
    this.#revision = this.#stored.revision;
    this.#readings++;
    this.#byName.clear();
    this.#byId.clear();
    const rows = this.#sql.all.all();
    this.#removed = rows.filter(([, name]) => name === null).map(([id]) => Number(id));
    const before = this.#read;
    this.#read = new Map();
    for (const row of rows.filter(([, name]) => name !== null)) {
      const known = before.get(row[0]);
      const isKnown = known?.row.every((value, column) => value === row[column]) === true;
      const read = isKnown ? known : { row, queue: queueOf(row) };
      this.#read.set(row[0], read);
      this.#learn(read.queue);
    }
  }

  /** Grows when definitions are read because another process changed some, and after a transaction that failed. */
  get readings(): number {
    return this.#readings;
  }

  /** A definition was changed: other processes read all of them again. */
  changed(): void {
    this.#revision++;
  }

  /** Writes the changes. */
  end(): void {
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
      this.#sql.setCounters.run(held, ready, stored, settled, Number(wantsMessages), Number(wantsRoom), id);
    }
    if (this.#revision === this.#stored.revision && this.#lastMessage === this.#stored.lastMessage) return;
    this.#sql.setStore.run(this.#revision, this.#lastMessage);
  }

  /** The transaction failed: everything read or created in it is invalid. */
  forget(): void {
    this.#revision = -1;
    this.#open.clear();
  }

  /** The number of a new message, or of a new place: greater than all before. */
  nextNumber(): number {
    return this.nextNumbers(1);
  }

  /** The first of so many. */
  nextNumbers(count: number): number {
    const first = this.#lastMessage + 1;
    this.#lastMessage += count;
    return first;
  }

  /** The queues that this transaction has read. */
  *touched(): Iterable<readonly [StoredQueue, Counters]> {
    for (const [id, { counters }] of this.#open) {
      const queue = this.#byId.get(id);
      if (queue !== undefined) yield [queue, counters];
    }
  }

  all(): Iterable<StoredQueue> {
    return this.#byName.values();
  }

  byName(name: string): StoredQueue | undefined {
    return this.#byName.get(name);
  }

  byId(id: number): StoredQueue | undefined {
    return this.#byId.get(id);
  }

  /** A queue that was removed, but still has messages. */
  get removed(): number | undefined {
    return this.#removed[0];
  }

  /** Undefined if it has none, or if that was removed. */
  deadLetterQueueOf({ deadLetterQueue }: StoredQueue): StoredQueue | undefined {
    return deadLetterQueue === undefined ? undefined : this.#byName.get(deadLetterQueue);
  }

  counters(queue: StoredQueue): Counters {
    let open = this.#open.get(queue.id);
    if (open === undefined) {
      const row = this.#sql.counters.first(queue.id) ?? [];
      const before = countersOf(row);
      open = { counters: { ...before }, before, notedAt: Number(row[6]) };
      this.#open.set(queue.id, open);
    }
    return open.counters;
  }

  /** Counts messages that entered a queue, some of which can be delivered at once. */
  comeIn(queue: StoredQueue, count: number, ready: number): void {
    const counters = this.counters(queue);
    counters.held += count;
    counters.ready += ready;
    counters.stored += count;
  }

  /** Counts messages that consumers have settled. */
  takenOut(queue: StoredQueue, count: number): void {
    const counters = this.counters(queue);
    counters.held -= count;
    counters.settled += count;
  }

  create(spec: QueueSpec, target: DeadLetterTarget, owner: number | undefined): StoredQueue {
    const { deadLetterQueue = null, deadLetterCapacity } = target;
    const text = specText({ ...spec, deadLetterCapacity });
    const id = this.#sql.insert.number(spec.name, text, deadLetterQueue, owner ?? null);
    const queue = { ...target, id, spec, owner, paused: false };
    this.#learn(queue);
    this.#revision++;
    return queue;
  }

  update(queue: StoredQueue, changes: Partial<DeadLetterTarget & Pick<StoredQueue, 'spec'>>): void {
    this.#change({ ...queue, ...changes });
  }

  setPaused(queue: StoredQueue, paused: boolean): void {
    if (queue.paused !== paused) this.#change({ ...queue, paused });
  }

  /** Records the counts before this transaction, once in a while. */
  #note(id: number, notedAt: number): void {
    const now = Date.now();
    // The clock may have been set back.
    if (now - notedAt >= RATE_WINDOW_MS || now < notedAt) this.#sql.note.run(now, id);
  }

  #change(queue: StoredQueue): void {
    const { id, spec, deadLetterQueue = null, deadLetterCapacity, paused } = queue;
    const text = specText({ ...spec, deadLetterCapacity, ...(paused && { paused }) });
    this.#sql.update.run(text, deadLetterQueue, id);
    this.#learn(queue);
    this.#revision++;
  }

  /** From now on it does not exist. Its messages are removed bit by bit; `forgetRemoved` ends that. */
  remove(queue: StoredQueue): void {
    this.#sql.remove.run(queue.id);
    // At once: messages that no other queue takes go to the alternate exchange.
    this.#sql.unbind.run(queue.id);
    this.onRemoved(queue);
    this.#byName.delete(queue.spec.name);
    this.#byId.delete(queue.id);
    this.#removed.push(queue.id);
    this.#revision++;
  }

  forgetRemoved(id: number): void {
    this.#sql.delete.run(id);
    this.#removed = this.#removed.filter((other) => other !== id);
    this.#revision++;
  }

  #learn(queue: StoredQueue): void {
    this.#byName.set(queue.spec.name, queue);
    this.#byId.set(queue.id, queue);
  }
}

function queueOf([id, , definition, deadLetterQueue, owner]: Row): StoredQueue {
  const { paused, deadLetterCapacity, ...spec } = parseSpec(String(definition));
  return {
    id: Number(id),
    spec,
    paused: paused === true,
    deadLetterQueue: deadLetterQueue === null ? undefined : String(deadLetterQueue),
    deadLetterCapacity,
    owner: owner === null ? undefined : Number(owner),
  };
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
