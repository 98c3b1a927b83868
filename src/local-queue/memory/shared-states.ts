import type { Publishing, SharedStateView } from '../../broker.js';
import type { SharedStateStore } from '../shared-state.js';

/** Stores a message, or throws. */
export type NowPublisher = (publishing: Publishing) => void;

/** The shared states of a broker in memory, by name. */
export class MemorySharedStates {
  readonly #values = new Map<string, string>();

  /** `check` throws if the broker can no longer be used. */
  store(name: string, publish: NowPublisher, check: () => void): SharedStateStore {
    const values = this.#values;
    return {
      read: async () => {
        check();
        return values.get(name);
      },
      change: async ({ from, to, publishing }) => {
        check();
        const before = values.get(name);
        if (before !== from) return before;
        if (publishing !== undefined) publish(publishing);
        values.set(name, to);
        return before;
      },
    };
  }

  remove(name: string): boolean {
    return this.#values.delete(name);
  }

  view(name: string): SharedStateView {
    const value = this.#values.get(name);
    return { values: value === undefined ? [] : [value], isHeld: undefined };
  }
}
