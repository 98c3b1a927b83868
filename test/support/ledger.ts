import { isQueueError, type QueueErrorCode } from '../../src/errors.js';

/** One handling of a message, as its consumer saw it. */
export interface Handling {
  readonly id: string;
  readonly attempt: number;
  readonly redelivered: boolean;
  /** Whether it carried the mark of a message that was sent again after a lost link. */
  readonly resent: boolean;
}

interface Entry {
  /** Position in the order in which the sends began. */
  readonly position: number;
  fate: 'sending' | 'confirmed' | 'unconfirmed' | 'not stored';
  handled: number;
  /** Handlings that nothing told from a first one. */
  unmarked: number;
  excused: boolean;
  /** It is in the dead-letter queue, as far as that has been looked into. */
  isDead: boolean;
  /** Neither handled nor known to have failed, nor excused. */
  isAhead: boolean;
}

/** What was sent and what was handled, message by message, and whether the two agree. */
export class Ledger {
  readonly #entries = new Map<string, Entry>();
  readonly #invented: string[] = [];
  readonly #unexpected: string[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #expected: readonly QueueErrorCode[];
  /** The highest position that was handled so far. */
  #lastHandled = -1;
  #handled = 0;
  #handlings = 0;
  #ahead = 0;
  #sending = 0;

  /** `alsoExpected`: with what else a send may reject here, nothing being stored. */
  constructor({ alsoExpected = [] }: { readonly alsoExpected?: readonly QueueErrorCode[] } = {}) {
    this.#expected = ['TIMEOUT', 'ABORTED', 'CLOSED', 'REFUSED', 'UNROUTABLE', ...alsoExpected];
  }

  get begun(): number {
    return this.#entries.size;
  }

  /** Sends that are under way. */
  get sending(): number {
    return this.#sending;
  }

  /** Different messages that were handled. */
  get handled(): number {
    return this.#handled;
  }

  /** Handlings beyond the first of each message. */
  get duplicates(): number {
    return this.#handlings - this.#handled;
  }

  /** Messages on their way: begun, and neither handled nor known to have failed. */
  get ahead(): number {
    return this.#ahead;
  }

  beginSend(id: string): void {
    this.#sending++;
    this.#ahead++;
    this.#entries.set(id, {
      position: this.#entries.size,
      fate: 'sending',
      handled: 0,
      unmarked: 0,
      excused: false,
      isDead: false,
      isAhead: true,
    });
  }

  endSend(id: string, error?: unknown): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Error(`message ${id} was never begun`);
    this.#sending--;
    if (error === undefined) {
      entry.fate = 'confirmed';
      this.#tell();
      return;
    }
    const isUnknown = isQueueError(error, 'UNCONFIRMED');
    entry.fate = isUnknown ? 'unconfirmed' : 'not stored';
    this.#arrive(entry);
    // Where nothing was stored the code says so; anything else is not among what `send` may reject with here.
    if (!isUnknown && !isQueueError(error, ...this.#expected)) {
      this.#unexpected.push(`${id}: ${String(error)}`);
    }
    this.#tell();
  }

  handle({ id, attempt, redelivered, resent }: Handling): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) {
      this.#invented.push(id);
      return;
    }
    this.#handlings++;
    if (entry.handled++ === 0) this.#handled++;
    this.#arrive(entry);
    if (!redelivered && !resent && attempt === 1) entry.unmarked++;
    this.#lastHandled = Math.max(this.#lastHandled, entry.position);
    this.#tell();
  }

  /** What was begun until now, and was not handled, may be gone: by the hand of an operator. */
  excuse(): void {
    for (const entry of this.#entries.values()) {
      if (entry.handled > 0) continue;
      entry.excused = true;
      this.#arrive(entry);
    }
    this.#tell();
  }

  /** These are in the dead-letter queue at present, and no others. */
  deadLettered(ids: readonly string[]): void {
    const dead = new Set(ids);
    for (const [id, entry] of this.#entries) {
      entry.isDead = dead.delete(id);
      if (entry.isDead) this.#arrive(entry);
    }
    this.#invented.push(...dead);
    this.#tell();
  }

  /** Whether a message has been handled whose send began when there had been `begun` of them, or later. */
  isHandledSince(begun: number): boolean {
    return this.#lastHandled >= begun;
  }

  /** Resolves when the condition holds; asked after each end of a send and each handling. */
  until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#listeners.delete(look);
        signal.removeEventListener('abort', giveUp);
      };
      const look = () => {
        if (!condition()) return;
        leave();
        resolve();
      };
      const giveUp = () => {
        leave();
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      this.#listeners.add(look);
      signal.addEventListener('abort', giveUp);
      look();
    });
  }

  #arrive(entry: Entry): void {
    if (entry.isAhead) this.#ahead--;
    entry.isAhead = false;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Confirmed, and neither handled so far nor dead nor excused. */
  get missing(): string[] {
    return this.#idsOf(
      ({ fate, handled, excused, isDead }) => fate === 'confirmed' && handled === 0 && !excused && !isDead,
    );
  }

  /** Confirmed, and gone with what they were in. */
  get excused(): number {
    return this.#idsOf(({ fate, handled, excused }) => fate === 'confirmed' && handled === 0 && excused)
      .length;
  }

  count(fate: 'confirmed' | 'unconfirmed' | 'not stored'): number {
    return this.#idsOf((entry) => entry.fate === fate).length;
  }

  /** Each breach of what is promised; none where the ledger agree. */
  breaches(): string[] {
    const some = (ids: readonly string[], what: string) =>
      ids.length === 0 ? [] : [`${ids.length} ${what}: ${ids.slice(0, 10).join(', ')}`];
    return [
      ...some(this.missing, 'confirmed and never handled'),
      ...some(
        this.#idsOf(({ unmarked }) => unmarked > 1),
        'handled more than once without a mark',
      ),
      ...some(
        this.#idsOf(({ fate, handled, isDead }) => fate === 'not stored' && (handled > 0 || isDead)),
        'stored, though the error said that nothing was',
      ),
      ...some(
        this.#idsOf(({ fate }) => fate === 'sending'),
        'sends that have not settled',
      ),
      ...some(this.#invented, 'handled that nobody sent'),
      ...some(this.#unexpected, 'sends that failed for another reason than may be'),
    ];
  }

  #idsOf(isMeant: (entry: Entry) => boolean): string[] {
    return [...this.#entries].filter(([, entry]) => isMeant(entry)).map(([id]) => id);
  }
}
