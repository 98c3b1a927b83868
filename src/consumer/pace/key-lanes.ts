interface Entry<T> {
  readonly item: T;
  readonly keys: readonly string[];
  /** In how many of its lanes it is not among the first `width`. */
  behind: number;
  taken: boolean;
}

/**
 * One lane per key. An item queues in the lanes of all its keys, and may be taken when it is among the first `width` in
 * each of them. It stays there, and blocks the items behind it, until it is removed.
 *
 *   add ──► behind others ──they are removed──► ready ──take──► taken ──remove──► gone
 *     └──────(first in all its lanes)────────────►▲
 *
 * Two items can never wait for each other: an item enters all its lanes at once, so the earlier item is ahead in each
 * lane that both share.
 */
export class KeyLanes<T> {
  /** No lane is empty: one whose last item is removed is deleted. */
  readonly #lanes = new Map<string, Entry<T>[]>();
  readonly #entries = new Map<T, Entry<T>>();
  /** Items that may be taken, in the order in which they became ready. */
  readonly #ready: Entry<T>[] = [];

  /** How many items of a key may be taken at once. */
  readonly #width: number;

  constructor(width = 1) {
    this.#width = width;
  }

  /** The number of items, including taken ones. */
  get size(): number {
    return this.#entries.size;
  }

  /** An item without keys is ready at once. An item can't be added twice. */
  add(item: T, keys: readonly string[]): void {
    const entry: Entry<T> = { item, keys: [...new Set(keys)], behind: 0, taken: false };
    this.#entries.set(item, entry);
    for (const key of entry.keys) {
      const lane = this.#lanes.get(key);
      if (lane === undefined) {
        this.#lanes.set(key, [entry]);
      } else if (lane.push(entry) > this.#width) {
        entry.behind++;
      }
    }
    if (entry.behind === 0) this.#ready.push(entry);
  }

  /** The item that has been ready longest. It holds its keys until it is removed. */
  take(): T | undefined {
    const entry = this.#ready.shift();
    if (entry === undefined) return undefined;
    entry.taken = true;
    return entry.item;
  }

  /** Removes the item from all its lanes, at any position. */
  remove(item: T): void {
    const entry = this.#entries.get(item);
    if (entry === undefined) return;
    this.#entries.delete(item);
    if (entry.behind === 0 && !entry.taken) this.#ready.splice(this.#ready.indexOf(entry), 1);
    for (const key of entry.keys) this.#leave(key, entry);
  }

  /** Removes the items that were not taken, and returns them in the order of arrival. */
  clear(): T[] {
    const untaken = [...this.#entries.values()].filter(({ taken }) => !taken).map(({ item }) => item);
    // Last first, so that none of them becomes ready in between.
    for (const item of untaken.toReversed()) this.remove(item);
    return untaken;
  }

  #leave(key: string, entry: Entry<T>): void {
    const lane = this.#lanes.get(key) ?? [];
    const position = lane.indexOf(entry);
    lane.splice(position, 1);
    if (lane.length === 0) this.#lanes.delete(key);
    if (position >= this.#width) return;
    // The item that has just moved up into the first `width`.
    const next = lane[this.#width - 1];
    if (next !== undefined && --next.behind === 0) this.#ready.push(next);
  }
}
