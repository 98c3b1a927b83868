import { continues, decodeSpan, encodeSpan, type MessageState, type Span, without } from './message-state.js';
import { readyKey, type Table, u32 } from './tables.js';

/** An entry of the table: messages of one queue that can be delivered. */
export interface ReadyEntry {
  readonly key: Buffer;
  /** Undefined where the entry is damaged. */
  readonly span: Span | undefined;
}

/**
 * The lines of the queues: what can be delivered, in order. A span holds places that follow each other, so that nothing
 * can ever belong between two of its messages.
 */
export class ReadyTable {
  readonly #table: Table;
  /** What was added last, by queue: it is stored when it is complete. */
  readonly #open = new Map<number, Span>();

  constructor(table: Table) {
    this.#table = table;
  }

  add(queueId: number, state: MessageState): void {
    const open = this.#open.get(queueId);
    if (open !== undefined && continues(open, state)) {
      this.#open.set(queueId, { first: open.first, count: open.count + 1 });
      return;
    }
    if (open !== undefined) this.#put(queueId, open);
    this.#open.set(queueId, { first: state, count: 1 });
  }

  /** Stores all that was added. */
  flush(): void {
    for (const [queueId, span] of this.#open) this.#put(queueId, span);
    this.#open.clear();
  }

  /** What was added since the last flush was not. */
  discard(): void {
    this.#open.clear();
  }

  /** The first of a queue: as many entries as it takes to have so many messages. */
  first(queueId: number, messages: number): ReadyEntry[] {
    this.flush();
    const entries: ReadyEntry[] = [];
    let missing = messages;
    for (const { key, value } of this.#table.getRange({ start: u32(queueId), end: u32(queueId + 1) })) {
      const span = decodeSpan(value);
      entries.push({ key, span });
      missing -= span?.count ?? 1;
      if (missing <= 0) break;
    }
    return entries;
  }

  /** Takes the first messages of an entry out of the line. */
  take(queueId: number, { key, span }: ReadyEntry, messages: number): void {
    this.#table.removeSync(key);
    if (span !== undefined && messages < span.count) this.#put(queueId, without(span, messages));
  }

  removeAll(queueId: number): void {
    this.#open.delete(queueId);
    const range = { start: u32(queueId), end: u32(queueId + 1) };
    for (const key of [...this.#table.getKeys(range)]) this.#table.removeSync(key);
  }

  #put(queueId: number, span: Span): void {
    const { priority, place } = span.first;
    this.#table.putSync(readyKey(queueId, priority, place), encodeSpan(span));
  }
}
