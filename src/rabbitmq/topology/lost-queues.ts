import type { QueueSpec } from '../../broker.js';
import { backoffMs, pause } from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';
import { isLocked } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import type { Bindings } from './bindings.js';
import type { DeclaredQueue, DeclaredQueues } from './declared-queues.js';
import type { Exchanges } from './exchanges.js';
import type { QueueDeclarer } from './queue-declarer.js';

/** The delays between attempts to declare an exclusive queue that another connection still holds. */
const RECLAIM_BACKOFF = { initialDelayMs: 100, maxDelayMs: 2_000 };

interface Parts {
  readonly queues: DeclaredQueues;
  readonly exchanges: Exchanges;
  readonly bindings: Bindings;
  readonly declarer: QueueDeclarer;
  /** Declares a queue, with its exchanges and bindings. */
  readonly declareOn: (connection: Connection, spec: QueueSpec) => Promise<void>;
}

/** Declares and binds queues again that were lost, with a connection or because somebody deleted them. */
export class LostQueues {
  readonly #queues: DeclaredQueues;
  readonly #exchanges: Exchanges;
  readonly #bindings: Bindings;
  readonly #declarer: QueueDeclarer;
  readonly #declareOn: Parts['declareOn'];

  constructor({ queues, exchanges, bindings, declarer, declareOn }: Parts) {
    this.#queues = queues;
    this.#exchanges = exchanges;
    this.#bindings = bindings;
    this.#declarer = declarer;
    this.#declareOn = declareOn;
  }

  /**
   * Declares a queue again that a subscriber found missing. False if this process may not do so: it never declared the
   * queue, or the definition requires it to exist.
   */
  async restoreQueue(connection: Connection, queue: string): Promise<boolean> {
    const spec = this.#queues.specOf(queue);
    if (spec === undefined || spec.declare === 'existing') return false;
    await this.#declareOn(connection, spec);
    return true;
  }

  /** Binds a queue again that may have been deleted and created without its bindings. Does nothing if it is missing. */
  async restoreBindings(connection: Connection, queue: string): Promise<void> {
    if (!this.#bindings.has(queue)) return;
    try {
      await this.#declarer.check(connection, queue);
    } catch (error) {
      if (isQueueError(error, 'QUEUE_MISSING')) return;
      throw error;
    }
    await this.#bindings.declareOn(connection, { name: queue });
  }

  /** Declares all queues again on a new connection. Rejects only if that connection is lost, too. */
  async restoreAll(connection: Connection): Promise<void> {
    await this.#exchanges.restore(connection);
    // Pending declarations are left out: they wait for the link, and the link waits for this.
    await Promise.all(this.#queues.settled.map((declared) => this.#restoreOn(connection, declared)));
    if (!connection.isOpen) throw connection.failure;
  }

  /** Never rejects: the error shows at the next `declare`, publish or subscription that needs the queue. */
  async #restoreOn(connection: Connection, declared: DeclaredQueue): Promise<void> {
    try {
      await this.#declareOn(connection, declared.spec);
      declared.state = 'there';
    } catch (error) {
      declared.state = 'stale';
      if (declared.spec.exclusive && isLocked(error)) {
        declared.state = 'locked';
        void this.#reclaim(connection, declared);
      }
    }
  }

  /** Retries to declare an exclusive queue until the broker notices that the connection which held it is gone. */
  async #reclaim(connection: Connection, declared: DeclaredQueue): Promise<void> {
    for (let attempt = 1; connection.isOpen; attempt++) {
      await pause(backoffMs(attempt, RECLAIM_BACKOFF));
      try {
        await this.#declareOn(connection, declared.spec);
        declared.state = 'there';
        return;
      } catch (error) {
        if (isLocked(error)) continue;
        declared.state = 'stale';
        return;
      }
    }
  }
}
