import { decodeState, encodeState, type MessageState } from './message-state.js';
import type { StoredQueue } from './queue-description.js';
import type { QueueTable } from './queue-table.js';
import { delayedKey, leaseKey, messageKey, readyKey, type Tables, u32 } from './tables.js';

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
 */
export class MessageTable {
  readonly #tables: Tables;
  readonly #queues: QueueTable;

  constructor(tables: Tables, queues: QueueTable) {
    this.#tables = tables;
    this.#queues = queues;
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
    this.#tables.ready.putSync(readyKey(queue.id, state.priority, state.place), encodeState(state));
    this.#queues.counters(queue).ready++;
  }

  /** Hands the first ready messages to an owner, with their records, until `take` says that it has enough. */
  lease(
    queue: StoredQueue,
    owner: number,
    limit: number,
    take: (state: MessageState, record: Buffer) => boolean,
  ): void {
    const { ready, messages, leases } = this.#tables;
    const counters = this.#queues.counters(queue);
    const range = { start: u32(queue.id), end: u32(queue.id + 1), limit };
    // Read to the end before anything is changed: a cursor must not see the changes.
    const entries = [...ready.getRange(range)];
    if (entries.length === 0) counters.ready = 0;
    for (const { key, value } of entries) {
      const state = decodeState(value);
      const at = state && messageKey(queue.id, state.seq);
      const record = at && messages.getBinaryFast(at);
      ready.removeSync(key);
      counters.ready--;
      if (state === undefined || record === undefined) {
        // No message belongs to this entry, or none that could be found by it.
        counters.held--;
        continue;
      }
      leases.putSync(leaseKey(owner, queue.id, state.seq), value);
      // The buffer is LMDB's own and longer than the record.
      if (!take(state, record.subarray(0, record.length))) return;
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
  leasesOf(
    owner: number,
    limit: number,
  ): { queueId: number; seq: number; state: MessageState | undefined }[] {
    const range = { start: u32(owner), end: u32(owner + 1), limit };
    return [...this.#tables.leases.getRange(range)].map(({ key, value }) => ({
      queueId: key.readUInt32BE(4),
      seq: key.readUIntBE(8, 6),
      state: decodeState(value),
    }));
  }

  endLease(owner: number, queueId: number, seq: number): void {
    this.#tables.leases.removeSync(leaseKey(owner, queueId, seq));
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
    const { ready, messages } = this.#tables;
    const entries = [...ready.getRange({ start: u32(queue.id), end: u32(queue.id + 1), limit })];
    const counters = this.#queues.counters(queue);
    for (const { key, value } of entries) {
      ready.removeSync(key);
      const state = decodeState(value);
      if (state !== undefined) messages.removeSync(messageKey(queue.id, state.seq));
      counters.ready--;
      counters.held--;
    }
    return entries.length;
  }

  /** Removes all that a queue holds. Leases of it go when their owners settle them or end. */
  removeAll(queue: StoredQueue): void {
    const { ready, messages, delayed } = this.#tables;
    const range = { start: u32(queue.id), end: u32(queue.id + 1) };
    for (const key of [...ready.getKeys(range)]) ready.removeSync(key);
    for (const key of [...messages.getKeys(range)]) messages.removeSync(key);
    for (const key of [...delayed.getKeys()]) {
      if (key.readUInt32BE(6) === queue.id) delayed.removeSync(key);
    }
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
