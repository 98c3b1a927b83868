import type { Subscription } from '../broker.js';
import type { HandlerRun } from './handler-run.js';

interface Retired {
  readonly subscription: Subscription;
  readonly runs: Set<HandlerRun>;
}

/**
 * Subscriptions that a pause has cancelled while handlers of theirs were running: what is unsettled belongs to them, so
 * each stays until its last handler has ended.
 */
export class RetiredSubscriptions {
  readonly #retired = new Set<Retired>();

  get isEmpty(): boolean {
    return this.#retired.size === 0;
  }

  add(subscription: Subscription, runs: readonly HandlerRun[]): void {
    if (runs.length === 0) void subscription.close();
    else this.#retired.add({ subscription, runs: new Set(runs) });
  }

  /** A handler has ended, and its message is settled. */
  leave(run: HandlerRun): void {
    for (const retired of this.#retired) {
      if (!retired.runs.delete(run) || retired.runs.size > 0) continue;
      this.#retired.delete(retired);
      void retired.subscription.close();
    }
  }

  /** What is unsettled goes back. */
  async close(): Promise<void> {
    await Promise.all([...this.#retired].map(({ subscription }) => subscription.close()));
  }
}
