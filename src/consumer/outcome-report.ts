import type { Delivery } from '../broker.js';
import { isQueueError } from '../errors.js';
import type { ConsumerCounts, ConsumerEvent } from './consumer.js';
import type { Settlement } from './settlement.js';

/** A settlement that has to be stored before it counts. */
export type StoredSettlement = Exclude<Settlement, { readonly verb: 'ack' | 'drop' }>;

/** Counts what becomes of a consumer's deliveries and emits the events. Its caller reports one outcome for each. */
export class OutcomeReport {
  /** Whether there is an observer. */
  readonly isObserved: boolean;
  readonly #queue: string;
  readonly #emit: ((event: ConsumerEvent) => void) | undefined;
  readonly #counts = {
    handled: 0,
    retried: 0,
    postponed: 0,
    deadLettered: 0,
    expired: 0,
    released: 0,
    lost: 0,
    settleFailed: 0,
    redelivered: 0,
  };

  constructor(queue: string, emit: ((event: ConsumerEvent) => void) | undefined) {
    this.isObserved = emit !== undefined;
    this.#queue = queue;
    this.#emit = emit;
  }

  get counts(): ConsumerCounts {
    return { ...this.#counts };
  }

  arrived({ redelivered }: Delivery): void {
    if (redelivered) this.#counts.redelivered++;
  }

  slow(delivery: Delivery, limit: 'handler' | 'broker', leftMs: number): void {
    this.#emit?.({ type: 'slow', ...this.#infoOf(delivery), limit, leftMs });
  }

  handled(delivery: Delivery): void {
    this.#counts.handled++;
    this.#emit?.({ type: 'handled', ...this.#infoOf(delivery) });
  }

  /** A retry, a postponement or a dead letter is stored. `error`: what the handler or the schema threw. */
  stored(delivery: Delivery, settlement: StoredSettlement, error: unknown): void {
    switch (settlement.verb) {
      case 'retry': {
        const { delayMs, failure } = settlement;
        this.#counts.retried++;
        this.#emit?.({ type: 'retried', ...this.#infoOf(delivery), delayMs, failure, error });
        return;
      }
      case 'postpone': {
        const { delayMs } = settlement;
        this.#counts.postponed++;
        this.#emit?.({ type: 'postponed', ...this.#infoOf(delivery), delayMs, error });
        return;
      }
      case 'dead-letter': {
        const { failure } = settlement;
        this.#counts.deadLettered++;
        this.#emit?.({ type: 'dead-lettered', ...this.#infoOf(delivery), failure, error });
      }
    }
  }

  expired(delivery: Delivery): void {
    this.#counts.expired++;
    this.#emit?.({ type: 'expired', ...this.#infoOf(delivery) });
  }

  released(delivery: Delivery): void {
    this.#counts.released++;
    this.#emit?.({ type: 'released', ...this.#infoOf(delivery) });
  }

  lost(delivery: Delivery, error: Error): void {
    this.#counts.lost++;
    this.#emit?.({ type: 'lost', ...this.#infoOf(delivery), error });
  }

  /**
   * Without an observer the first one emits a process warning: such a message usually comes again and again. There is
   * no warning if the program itself closed the broker meanwhile.
   */
  settleFailed(delivery: Delivery, error: Error): void {
    this.#counts.settleFailed++;
    this.#emit?.({ type: 'settle-failed', ...this.#infoOf(delivery), error });
    if (this.isObserved || this.#counts.settleFailed > 1 || isQueueError(error, 'CLOSED')) return;
    process.emitWarning(
      `message ${delivery.message.id} of '${this.#queue}' could be neither retried nor moved to the dead-letter queue, ` +
        `and is delivered again until it can: ${error.message}`,
    );
  }

  /** `forMs`: undefined if somebody has asked for it. */
  paused(forMs: number | undefined): void {
    this.#emit?.({ type: 'paused', queue: this.#queue, forMs });
  }

  resumed(): void {
    this.#emit?.({ type: 'resumed', queue: this.#queue });
  }

  /** The consumer can't go on. `isAwaited`: the program reads `ended` and learns of it there. */
  ended(error: Error, isAwaited: boolean): void {
    this.#emit?.({ type: 'ended', queue: this.#queue, error });
    if (this.isObserved || isAwaited) return;
    process.emitWarning(`the consumer of '${this.#queue}' has ended: ${error.message}`);
  }

  #infoOf({ message, attempt, redelivered }: Delivery) {
    return { queue: this.#queue, id: message.id, attempt, redelivered };
  }
}
