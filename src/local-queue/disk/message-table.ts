import { type Lease, LeaseTable } from './lease-table.js';
import { decodeState, encodeState, type MessageState, stateAt } from './message-state.js';
import type { StoredQueue } from './queue-description.js';
import type { QueueTable } from './queue-table.js';
import { type ReadyEntry, ReadyTable } from './ready-table.js';
import { delayedKey, messageKey, type Tables, u32 } from './tables.js';

/** A message that some owner handles. */
export interface Leased {
  readonly queue: StoredQueue;
  readonly state: MessageState;
}

/**
 * Where the messages of a queue are, and how they move. All of it happens within a transaction.
 *
 *   insert ──► ready ──lease──► leased ──remove──► gone
 *               ▲ ▲               │ │
 *               │ └──putBack──────┘ │
 *               └──due── delayed ◄──┘ comeAgain
 *
 * What a transaction changes in `ready` and `leases` is in the store when `flush` has been called.
 */
export class MessageTable {
  readonly #tables: Tables;
  readonly #queues: QueueTable;
  readonly #ready: ReadyTable;
  readonly #leases: LeaseTable;

  constructor(tables: Tables, queues: QueueTable) {
    this.#tables = tables;
    this.#queues = queues;
    this.#ready = new ReadyTable(tables.ready);
    this.#leases = new LeaseTable(tables.leases);
  }

  /** Stores what the transaction changed. */
  flush(): void {
    this.#ready.flush();
    this.#leases.flush();
  }

  /** The transaction failed: nothing of what it changed holds. */
  discard(): void {
    this.#ready.discard();
    this.#leases.discard();
  }

  /** A new message, at the end of the line. Whether there is room is the caller's matter. */
  insert(queue: StoredQueue, priority: number, record: Uint8Array): void {
    const counters = this.#queues.counters(queue);
    const seq = ++counters.last;
    counters.held++;
    this.#tables.messages.putSync(messageKey(queue.id, seq), asBuffer(record));
    this.makeReady(queue, { seq, place: seq, priority, attempt: 1, returns: 0, redelivered: false });
  }

  /** Puts a message in line, at its place. */
  makeReady(queue: StoredQueue, state: MessageState): void {
    this.#ready.add(queue.id, state);
    this.#queues.counters(queue).ready++;
  }

  /** Hands the first ready messages to an owner, with their records, until `take` says that it has enough. */
  lease(
    queue: StoredQueue,
    owner: number,
    limit: number,
    take: (state: MessageState, record: Buffer) => boolean,
  ): void {
    const counters = this.#queues.counters(queue);
    // Read to the end before anything is changed: a cursor must not see the changes.
    const entries = this.#ready.first(queue.id, limit);
    if (entries.length === 0) counters.ready = 0;
    let room = limit;
    let enough = false;
    for (const entry of entries) {
      if (enough || room === 0) return;
      const count = Math.min(entry.span?.count ?? 1, room);
      let taken = 0;
      while (taken < count && !enough) enough = !this.#leaseOne(queue, owner, entry, taken++, take);
      this.#ready.take(queue.id, entry, taken);
      counters.ready -= taken;
      room -= taken;
    }
  }

  /** The leased message is back where it was. */
  putBack(owner: number, { queue }: Leased, state: MessageState): void {
    this.endLease(owner, queue.id, state.seq);
    if (this.#isDeleted(queue)) this.forget(queue, state.seq);
    else this.makeReady(queue, state);
  }

  /** The leased message is gone for good. */
  remove(owner: number, { queue, state }: Leased): void {
    this.endLease(owner, queue.id, state.seq);
    this.forget(queue, state.seq);
  }

  /** The leased message comes for another attempt after the delay, changed as the new record says. */
  comeAgain(owner: number, { queue, state }: Leased, record: Uint8Array, delayMs: number): void {
    this.endLease(owner, queue.id, state.seq);
    if (this.#isDeleted(queue)) {
      this.forget(queue, state.seq);
      return;
    }
    this.#tables.messages.putSync(messageKey(queue.id, state.seq), asBuffer(record));
    const next = { ...state, attempt: state.attempt + 1, redelivered: true };
    if (delayMs === 0) {
      this.#toTheEnd(queue, next);
      return;
    }
    // Of the wall clock, which goes on over restarts. Rounded up, and one more for the fraction that it does not show.
    const dueAt = Date.now() + Math.ceil(delayMs) + 1;
    this.#tables.delayed.putSync(delayedKey(dueAt, queue.id, state.seq), encodeState(next));
  }

  /** What is leased to an owner, at most `limit`. */
  leasesOf(owner: number, limit: number): Lease[] {
    return this.#leases.of(owner, limit);
  }

  /** Those to whom something is leased. */
  leaseOwners(): number[] {
    return this.#leases.owners();
  }

  endLease(owner: number, queueId: number, seq: number): void {
    this.#leases.end(owner, queueId, seq);
  }

  /** Removes a message that is in none of the places any more. */
  forget(queue: StoredQueue, seq: number): void {
    this.#tables.messages.removeSync(messageKey(queue.id, seq));
    this.#queues.counters(queue).held--;
  }

  record(queue: StoredQueue, seq: number): Buffer | undefined {
    return this.#tables.messages.getBinary(messageKey(queue.id, seq));
  }

  /** When the next delayed message is due, in milliseconds since the epoch. */
  nextDue(): number | undefined {
    for (const key of this.#tables.delayed.getKeys({ limit: 1 })) return key.readUIntBE(0, 6);
    return undefined;
  }

  /** Makes delayed messages ready that are due, at most `limit`. */
  makeDueReady(now: number, limit: number): void {
    const { delayed } = this.#tables;
    const due = [...delayed.getRange({ end: delayedKey(now + 1, 0, 0), limit })];
    for (const { key, value } of due) {
      delayed.removeSync(key);
      const queue = this.#queues.byId(key.readUInt32BE(6));
      const state = decodeState(value);
      if (queue === undefined) continue;
      if (state === undefined) this.#queues.counters(queue).held--;
      else this.#toTheEnd(queue, state);
    }
  }

  /** Removes ready messages, at most `limit`, and says how many. */
  purge(queue: StoredQueue, limit: number): number {
    const counters = this.#queues.counters(queue);
    let purged = 0;
    for (const entry of this.#ready.first(queue.id, limit)) {
      const { span } = entry;
      const count = Math.min(span?.count ?? 1, limit - purged);
      for (let index = 0; span !== undefined && index < count; index++) {
        this.#tables.messages.removeSync(messageKey(queue.id, span.first.seq + index));
      }
      this.#ready.take(queue.id, entry, count);
      purged += count;
    }
    counters.ready -= purged;
    counters.held -= purged;
    return purged;
  }

  /** Removes all that a queue holds. Leases of it go when their owners settle them or end. */
  removeAll(queue: StoredQueue): void {
    const { messages, delayed } = this.#tables;
    this.#ready.removeAll(queue.id);
    const range = { start: u32(queue.id), end: u32(queue.id + 1) };
    for (const key of [...messages.getKeys(range)]) messages.removeSync(key);
    for (const key of [...delayed.getKeys()]) {
      if (key.readUInt32BE(6) === queue.id) delayed.removeSync(key);
    }
  }

  /** Hands out one message of an entry. Whether `take` wants more. */
  #leaseOne(
    queue: StoredQueue,
    owner: number,
    { span }: ReadyEntry,
    index: number,
    take: (state: MessageState, record: Buffer) => boolean,
  ): boolean {
    const state = span && stateAt(span, index);
    const record = state && this.#tables.messages.getBinaryFast(messageKey(queue.id, state.seq));
    if (state === undefined || record === undefined) {
      // No message belongs to this entry, or none that could be found by it.
      this.#queues.counters(queue).held--;
      return true;
    }
    // The buffer is LMDB's own, longer than the record, and used again by whatever is read or written next.
    const goesOn = take(state, record.subarray(0, record.length));
    this.#leases.begin(owner, queue.id, state);
    return goesOn;
  }

  /** Nothing may be stored under the number of a queue that was deleted while its messages were being handled. */
  #isDeleted(queue: StoredQueue): boolean {
    return this.#queues.byId(queue.id) === undefined;
  }

  #toTheEnd(queue: StoredQueue, state: MessageState): void {
    const counters = this.#queues.counters(queue);
    this.makeReady(queue, { ...state, place: ++counters.last });
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
