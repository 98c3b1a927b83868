import type { QueueSpec } from '../../broker.js';
import { isQueueError } from '../../errors.js';

/** The queues that a broker has declared, which it declares again if others remove them while it consumes them. */
export class DeclaredQueues {
  readonly #specs = new Map<string, QueueSpec>();

  add(spec: QueueSpec): void {
    this.#specs.set(spec.name, spec);
  }

  /** What the broker removes itself it does not declare again; its subscriptions learn of it before `removing` ends. */
  async forget(queue: string, removing: () => Promise<unknown>): Promise<void> {
    const spec = this.#specs.get(queue);
    this.#specs.delete(queue);
    try {
      await removing();
    } catch (error) {
      if (spec !== undefined && !this.#specs.has(queue)) this.#specs.set(queue, spec);
      throw error;
    }
  }

  /**
   * Declares a queue again that was removed, or binds the one that has taken its place, whatever its properties. False if
   * the broker has not declared it, or its definition requires it to exist.
   */
  async restore(queue: string, declare: (spec: QueueSpec) => Promise<unknown>): Promise<boolean> {
    const spec = this.#specs.get(queue);
    if (spec === undefined) return false;
    try {
      await declare({ ...spec, declare: 'existing' });
    } catch (error) {
      if (!isQueueError(error, 'QUEUE_MISSING')) throw error;
      if (spec.declare === 'existing') return false;
      await declare(spec);
    }
    return true;
  }
}
