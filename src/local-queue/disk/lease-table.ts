import {
  continues,
  decodeSpan,
  encodeSpan,
  type MessageState,
  type Span,
  stateAt,
  without,
} from './message-state.js';
import { leaseKey, type Table, u32 } from './tables.js';

export interface Lease {
  readonly queueId: number;
  readonly seq: number;
  /** Undefined where the entry is damaged. */
  readonly state: MessageState | undefined;
}

interface Held {
  readonly owner: number;
  readonly queueId: number;
  readonly span: Span;
}

interface Ended {
  readonly owner: number;
  readonly queueId: number;
  /** In the order in which they ended. */
  readonly seqs: number[];
}

/**
 * What the owners handle. Leases that begin one after the other are one entry; those that end in a transaction, in
 * whatever order, are taken out of their entries together.
 */
export class LeaseTable {
  readonly #table: Table;
  /** The last ones that began, or the last ones that ended: stored when complete. Never both. */
  #begun: Held | undefined = undefined;
  #ended: Ended | undefined = undefined;

  constructor(table: Table) {
    this.#table = table;
  }

  begin(owner: number, queueId: number, state: MessageState): void {
    const last = this.#begun;
    if (last?.owner === owner && last.queueId === queueId && continues(last.span, state)) {
      this.#begun = { owner, queueId, span: { first: last.span.first, count: last.span.count + 1 } };
      return;
    }
    this.flush();
    this.#begun = { owner, queueId, span: { first: state, count: 1 } };
  }

  end(owner: number, queueId: number, seq: number): void {
    const last = this.#ended;
    if (last?.owner === owner && last.queueId === queueId) {
      last.seqs.push(seq);
      return;
    }
    this.flush();
    this.#ended = { owner, queueId, seqs: [seq] };
  }

  /** Stores all that began and ended. */
  flush(): void {
    if (this.#begun !== undefined) this.#put(this.#begun);
    if (this.#ended !== undefined) this.#takeOut(this.#ended);
    this.discard();
  }

  /** What began and ended since the last flush did not. */
  discard(): void {
    this.#begun = undefined;
    this.#ended = undefined;
  }

  /** What is leased to an owner, at most `limit`. */
  of(owner: number, limit: number): Lease[] {
    this.flush();
    const leases: Lease[] = [];
    for (const { key, value } of this.#table.getRange({ start: u32(owner), end: u32(owner + 1), limit })) {
      const queueId = key.readUInt32BE(4);
      const span = decodeSpan(value);
      if (span === undefined) leases.push({ queueId, seq: key.readUIntBE(8, 6), state: undefined });
      for (let index = 0; span !== undefined && index < span.count; index++) {
        if (leases.length === limit) break;
        const state = stateAt(span, index);
        leases.push({ queueId, seq: state.seq, state });
      }
      if (leases.length === limit) break;
    }
    return leases;
  }

  /** Those who have leases. */
  owners(): number[] {
    this.flush();
    const owners: number[] = [];
    for (let owner = 0; ; owner++) {
      const [key] = [...this.#table.getKeys({ start: u32(owner), limit: 1 })];
      if (key === undefined) return owners;
      owner = key.readUInt32BE(0);
      owners.push(owner);
    }
  }

  #put({ owner, queueId, span }: Held): void {
    this.#table.putSync(leaseKey(owner, queueId, span.first.seq), encodeSpan(span));
  }

  #takeOut({ owner, queueId, seqs }: Ended): void {
    // Handlers that run side by side end in any order; those of one entry cost one look-up, and a piece that stays is
    // written once.
    seqs.sort((one, other) => one - other);
    /** What is left of the entry at hand, behind the message that was taken out last. */
    let rest: Span | undefined;
    for (const seq of seqs) {
      if (rest === undefined || seq >= rest.first.seq + rest.count) {
        if (rest !== undefined) this.#put({ owner, queueId, span: rest });
        rest = this.#spanOf(owner, queueId, seq);
        if (rest === undefined) continue;
        // Otherwise what stays in front of it takes the entry over.
        if (rest.first.seq === seq) this.#table.removeSync(leaseKey(owner, queueId, seq));
      }
      const before: number = seq - rest.first.seq;
      if (before > 0) this.#put({ owner, queueId, span: { first: rest.first, count: before } });
      rest = before + 1 < rest.count ? without(rest, before + 1) : undefined;
    }
    if (rest !== undefined) this.#put({ owner, queueId, span: rest });
  }

  /** The entry that has a message. One that is damaged stands for the message in its key. */
  #spanOf(owner: number, queueId: number, seq: number): Span | undefined {
    const key = leaseKey(owner, queueId, seq);
    // It begins there, or somewhere before: a cursor costs several times as much as looking for a key.
    const own = this.#table.getBinary(key);
    if (own !== undefined) return spanAt(seq, own);
    const before = { start: key, end: leaseKey(owner, queueId, 0), reverse: true, limit: 1 };
    for (const found of this.#table.getRange(before)) {
      const span = spanAt(found.key.readUIntBE(8, 6), found.value);
      if (seq < span.first.seq + span.count) return span;
    }
    return undefined;
  }
}

function spanAt(seq: number, bytes: Buffer): Span {
  return decodeSpan(bytes) ?? { first: unknownState(seq), count: 1 };
}

function unknownState(seq: number): MessageState {
  return { seq, place: seq, priority: 0, attempt: 1, returns: 0, redelivered: true };
}
