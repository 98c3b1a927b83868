import type { Broker, Delivery, QueueSpec } from '../broker.js';
import { type SettleTrace, settleChannel } from '../common/hooks/tracing.js';
import { logEvent, loggerOf } from '../common/reporting/logger.js';
import type { ConsumerCounts, ConsumerEvent } from './consumer.js';
import { consumerEventLine } from './event-line.js';
import { FailureWarnings } from './failure-warnings.js';
import type { Settlement } from './settlement.js';

/** A settlement that has to be stored before it counts. */
export type StoredSettlement = Exclude<Settlement, { readonly verb: 'ack' | 'drop' }>;

/** Events that report the outcome of a delivery. */
type Settled = Extract<ConsumerEvent, { readonly type: SettleTrace['outcome'] }>;

/**
 * Counts the outcomes of a consumer's deliveries and emits the events: to the consumer's observer and to the broker's
 * logger, or, without either, as process warnings. Its caller reports one outcome for each.
 */
export class OutcomeReport {
  /** Whether there is an observer or a logger. */
  readonly isObserved: boolean;
  readonly #broker: Broker;
  readonly #queue: string;
  readonly #emit: (event: ConsumerEvent) => void;
  readonly #warnings: FailureWarnings | undefined;
  /** Deliveries that were reported as slow: decoding and handling have a time limit each. */
  readonly #slow = new WeakSet<Delivery>();
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

  /** `emit`: the consumer's observer, which never throws. */
  constructor(
    broker: Broker,
    { name, deadLetter }: Pick<QueueSpec, 'name' | 'deadLetter'>,
    emit: ((event: ConsumerEvent) => void) | undefined,
  ) {
    const logger = loggerOf(broker);
    this.isObserved = emit !== undefined || logger !== undefined;
    this.#warnings = this.isObserved ? undefined : new FailureWarnings(name, deadLetter !== false);
    this.#broker = broker;
    this.#queue = name;
    if (logger === undefined) this.#emit = emit ?? (this.#warnings as FailureWarnings).observe;
    else {
      this.#emit = (event) => {
        emit?.(event);
        const line = consumerEventLine(event);
        if (line !== undefined) logEvent(logger, line, 'error' in event ? event.error : undefined);
      };
    }
  }

  get counts(): ConsumerCounts {
    return { ...this.#counts };
  }

  arrived({ redelivered }: Delivery): void {
    if (redelivered) this.#counts.redelivered++;
  }

  /** Reports a delivery once. */
  slow(delivery: Delivery, limit: 'handler' | 'broker', leftMs: number): void {
    if (this.#slow.has(delivery)) return;
    this.#slow.add(delivery);
    this.#emit({ type: 'slow', ...this.#infoOf(delivery), limit, leftMs });
  }

  handled(delivery: Delivery): void {
    this.#counts.handled++;
    if (this.isObserved || settleChannel.hasSubscribers) {
      this.#settled({ type: 'handled', ...this.#infoOf(delivery) }, delivery);
    }
  }

  /** A retry, a postponement or a dead letter is stored. `error`: the error of the handler or the schema. */
  stored(delivery: Delivery, settlement: StoredSettlement, error: unknown): void {
    const info = this.#infoOf(delivery);
    switch (settlement.verb) {
      case 'retry': {
        const { delayMs, failure } = settlement;
        this.#counts.retried++;
        this.#settled({ type: 'retried', ...info, delayMs, failure, error }, delivery);
        return;
      }
      case 'postpone': {
        const { delayMs } = settlement;
        this.#counts.postponed++;
        this.#settled({ type: 'postponed', ...info, delayMs, error }, delivery);
        return;
      }
      case 'dead-letter': {
        const { failure } = settlement;
        this.#counts.deadLettered++;
        this.#settled({ type: 'dead-lettered', ...info, failure, error }, delivery);
      }
    }
  }

  expired(delivery: Delivery): void {
    this.#counts.expired++;
    this.#settled({ type: 'expired', ...this.#infoOf(delivery) }, delivery);
  }

  released(delivery: Delivery): void {
    this.#counts.released++;
    this.#settled({ type: 'released', ...this.#infoOf(delivery) }, delivery);
  }

  lost(delivery: Delivery, error: Error): void {
    this.#counts.lost++;
    this.#settled({ type: 'lost', ...this.#infoOf(delivery), error }, delivery);
  }

  settleFailed(delivery: Delivery, error: Error): void {
    this.#counts.settleFailed++;
    this.#settled({ type: 'settle-failed', ...this.#infoOf(delivery), error }, delivery);
  }

  replyFailed(delivery: Delivery, error: Error): void {
    this.#emit({ type: 'reply-failed', ...this.#infoOf(delivery), error });
  }

  /** `forMs`: undefined for a call of `pause`. */
  paused(forMs: number | undefined): void {
    this.#emit({ type: 'paused', queue: this.#queue, forMs });
  }

  resumed(): void {
    this.#emit({ type: 'resumed', queue: this.#queue });
  }

  /** The consumer can't continue. `isAwaited`: the program reads `ended` and gets the error there. */
  ended(error: Error, isAwaited: boolean): void {
    if (this.isObserved || !isAwaited) this.#emit({ type: 'ended', queue: this.#queue, error });
  }

  /** Nothing more is to come. */
  end(): void {
    this.#warnings?.flush();
  }

  #settled(event: Settled, { message }: Delivery): void {
    this.#emit(event);
    if (!settleChannel.hasSubscribers) return;
    const { type: outcome, ...rest } = event;
    const { headers, origin = { exchange: '', routingKey: this.#queue } } = message;
    settleChannel.publish({ outcome, ...rest, headers, url: this.#broker.url, ...origin });
  }

  #infoOf({ message, attempt, redelivered }: Delivery) {
    return { queue: this.#queue, id: message.id, attempt, redelivered };
  }
}
