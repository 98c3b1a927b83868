import type { Publishing, SharedState, SharedStateOptions, SharedStateView } from '../broker.js';

/** How often a program checks whether another one has set the state. A change by `set` itself shows at once. */
const LOOK_EVERY_MS = 5000;

/** A change of a state: only if it has the value `from`, undefined if it was never set. */
export interface StateChange {
  readonly from: string | undefined;
  readonly to: string;
  readonly publishing: Publishing | undefined;
}

/** The states of a broker. */
export interface SharedStateStore {
  /** The value; undefined if it was never set. */
  read(): Promise<string | undefined>;
  /** The value before the change, which was made if that was `from`. The message is stored with the value or not at all. */
  change(change: StateChange): Promise<string | undefined>;
}

/** A state as operators see it. */
export function viewOf(value: string | undefined): SharedStateView {
  return { values: value === undefined ? [] : [value], isHeld: undefined };
}

/** A state that all programs which have it open may set: the one that loses a race gets the new value. */
export class MergedState implements SharedState {
  readonly #store: SharedStateStore;
  readonly #options: SharedStateOptions;
  #value = '';
  /** The changes of the value, one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #looking: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(store: SharedStateStore, options: SharedStateOptions) {
    this.#store = store;
    this.#options = options;
  }

  async open(): Promise<this> {
    await this.#join(await this.#store.read());
    this.#looking = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    return this;
  }

  set(value: string, publishing?: Publishing): Promise<boolean> {
    return this.#inTurn(async () => {
      const from = this.#value;
      const before = await this.#store.change({ from, to: value, publishing });
      if (before !== from) {
        await this.#join(before);
        return false;
      }
      this.#value = value;
      return true;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#looking);
    await this.#last;
  }

  /** Merges the contribution of this program into the value, and reports it. */
  async #join(stored: string | undefined): Promise<void> {
    const { initial, merge, onTurn } = this.#options;
    for (let from = stored; ; ) {
      const to = from === undefined ? initial : merge(from, initial);
      const before = to === from ? from : await this.#store.change({ from, to, publishing: undefined });
      if (before === from) {
        this.#value = to;
        break;
      }
      from = before;
    }
    if (!this.#closed) onTurn(this.#value);
  }

  #look(): void {
    const look = async () => {
      const stored = await this.#store.read();
      if (stored !== this.#value) await this.#join(stored);
    };
    // A failed read is repeated the next time; `set` reports the error.
    this.#inTurn(look).catch(() => {});
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }
}
