import type { QueueSubscription } from '../broker.js';
import type { HandlerRun } from './handler-run.js';

interface Retired {
  readonly subscription: QueueSubscription;
  readonly runs: Set<HandlerRun>;
}

/**
 * Subscriptions that a pause has cancelled while their handlers were running. Unsettled messages belong to them, so each
 * is kept until its last handler has ended.
 */
export class RetiredSubscriptions {
  /** Subscriptions with running handlers. */
  readonly open = new Set<Retired>();

  add(subscription: QueueSubscription, runs: readonly HandlerRun[]): void {
    if (runs.length === 0) void subscription.close();
    else this.open.add({ subscription, runs: new Set(runs) });
  }

  /** A handler has ended, and its message is settled. */
  leave(run: HandlerRun): void {
    for (const retired of this.open) {
      if (!retired.runs.delete(run) || retired.runs.size > 0) continue;
      this.open.delete(retired);
      void retired.subscription.close();
    }
  }

  /** Returns unsettled messages to the queue. */
  async close(): Promise<void> {
    await Promise.all([...this.open].map(({ subscription }) => subscription.close()));
  }
}
