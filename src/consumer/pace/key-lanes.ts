interface Entry<T> {
  readonly item: T;
  readonly keys: readonly string[];
  /** The number of its lanes in which it is not among the first `width`. */
  behind: number;
  taken: boolean;
}

/**
 * A lane for each key. An item queues in the lanes of all its keys, and may be taken when it is among the first `width`
 * in each; it stays there, and holds up those behind it, until it is removed.
 *
 *   add ──► behind others ──they are removed──► ready ──take──► taken ──remove──► gone
 *     └──────(first in all its lanes)────────────►▲
 *
 * No two items can wait for each other: an item enters all its lanes at once, so that the earlier one is ahead in each
 * lane that they share.
 */
export class KeyLanes<T> {
  /** Lanes are never empty; one whose last item is removed is forgotten. */
  readonly #lanes = new Map<string, Entry<T>[]>();
  readonly #entries = new Map<T, Entry<T>>();
  /** First in all their lanes and not taken yet, in the order in which they became so. */
  readonly #ready: Entry<T>[] = [];

  /** How many items of a key may be taken at once. */
  readonly #width: number;

  constructor(width = 1) {
    this.#width = width;
  }

  /** How many items are held, those taken included. */
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

  /** The item that has been ready for longest. Its keys are its own until it is removed. */
  take(): T | undefined {
    const entry = this.#ready.shift();
    if (entry === undefined) return undefined;
    entry.taken = true;
    return entry.item;
  }

  /** Removes the item from all its lanes, at whatever position. */
  remove(item: T): void {
    const entry = this.#entries.get(item);
    if (entry === undefined) return;
    this.#entries.delete(item);
    if (entry.behind === 0 && !entry.taken) this.#ready.splice(this.#ready.indexOf(entry), 1);
    for (const key of entry.keys) this.#leave(key, entry);
  }

  /** Removes the items that are not taken, and returns them in the order of arrival. */
  clear(): T[] {
    const untaken = [...this.#entries.values()].filter(({ taken }) => !taken).map(({ item }) => item);
    // From the last, so that none of them becomes ready meanwhile.
    for (const item of untaken.toReversed()) this.remove(item);
    return untaken;
  }

  #leave(key: string, entry: Entry<T>): void {
    const lane = this.#lanes.get(key) ?? [];
    const position = lane.indexOf(entry);
    lane.splice(position, 1);
    if (lane.length === 0) this.#lanes.delete(key);
    if (position >= this.#width) return;
    // The one that has become the last of the first.
    const next = lane[this.#width - 1];
    if (next !== undefined && --next.behind === 0) this.#ready.push(next);
  }
}
