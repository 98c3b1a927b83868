import type { Failure, Message } from '../../broker.js';
import { attemptOf, postponesOf } from '../../common/message/retry-headers.js';
import { MAX_DELAY_MS } from '../../common/options.js';
import { backoffMs, pause } from '../../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { ServerVersion } from '../connection/server-version.js';
import { delayStepOf, type RetryDelay } from '../topology/retry-delay-steps.js';
import { fromWire, RESENT_HEADER, type ReceivedMessage } from '../wire/amqp-message.js';
import { countOf } from '../wire/broker-death.js';
import { NO_HEADERS } from '../wire/header-table.js';
import type { Republisher } from './republisher.js';
import type { BrokerSettlement, HeldDelivery, UnsettledDelivery } from './settlements.js';

/** How long a message that could not be moved is kept before it returns to its queue. */
const FAILED_MOVE_REST_MS = 1_000;

/** The same for one that can't be moved until an operator raises the broker's limit. */
const TOO_LARGE_REST_MS = 60_000;

/** The longest time that a delivery waits here for its retry. RabbitMQ's own limit is 30 minutes by default. */
const MAX_WAIT_MS = 10 * 60_000;

/** Between two tries at moving a message that can't return to its queue. */
const LAST_MOVE_BACKOFF = { initialDelayMs: 1_000, maxDelayMs: 60_000 };

/** Settles deliveries on the channel that they came on, while it is open. */
export interface DeliverySource {
  readonly queue: string;
  readonly version: ServerVersion;
  /** As in `Delivery`. */
  readonly settleWithinMs: number | undefined;
  /** Whether its queue counts how often messages return, as quorum queues do. */
  readonly countsReturns: boolean;
  /** As in `SubscribeOptions`. */
  readonly exactDelaysMs: readonly number[];
  settle(unsettled: UnsettledDelivery, settlement: BrokerSettlement): void;
}

/**
 *   open ──ack, release, a retry that the queue delays itself──► over
 *    │ └──retry, postpone, deadLetter──► moving ──stored, then acknowledged; or failed, then back──► over
 *    └──lost──► over ◄──lost────┘ └──too large to be stored anew──► staying ──after a while, back───► ▲
 */
export class RabbitMqDelivery implements HeldDelivery {
  readonly message: Message;
  readonly attempt: number;
  readonly redelivered: boolean;
  readonly settleWithinMs: number | undefined;
  readonly receivedAt: number | undefined;
  /** The message as received, for moving it. */
  readonly received: ReceivedMessage;
  /** How often it returned to its queue; classic queues do not count that. */
  readonly returns: number;

  /** Whether its queue would drop it if it returned in any way: it is kept until it can be moved. */
  isLast = false;

  /** Whether it was handed to the subscriber, and is not just moved elsewhere by its subscription. */
  isSubscribers = false;

  readonly #unsettled: UnsettledDelivery;
  readonly #source: DeliverySource;
  readonly #republisher: Republisher;
  #state: 'open' | 'moving' | 'staying' | 'over' = 'open';
  #isBroughtBack = false;
  #lost: AbortController | undefined;

  constructor(
    received: ReceivedMessage,
    unsettled: UnsettledDelivery,
    source: DeliverySource,
    republisher: Republisher,
  ) {
    this.received = received;
    this.#unsettled = unsettled;
    this.#source = source;
    this.#republisher = republisher;
    unsettled.holder = this;
    this.returns = source.countsReturns ? returnsOf(received) : 0;
    // Before 4.3 it also counts returns at no cost, which must not raise the attempt.
    const failures = source.version.countsFailuresOnly ? this.returns : 0;
    this.message = fromWire(received);
    this.settleWithinMs = source.settleWithinMs;
    this.receivedAt = this.settleWithinMs === undefined ? undefined : performance.now();
    const { values } = received.headers;
    const hasHistory = received.headers !== NO_HEADERS;
    const attempt = (hasHistory ? attemptOf(values) : 1) + failures;
    this.attempt = received.fields.redelivered
      ? Math.max(attempt, republisher.oversized.attemptOf(source.queue, received))
      : attempt;
    this.redelivered =
      received.fields.redelivered ||
      this.returns > 0 ||
      this.attempt > 1 ||
      (hasHistory && (postponesOf(values) > 0 || Object.hasOwn(values, RESENT_HEADER)));
  }

  get hasGeneratedId(): boolean {
    return !this.received.properties.messageId;
  }

  /** Whether it is being moved to another queue, and should arrive there before its channel is closed. */
  get isMoving(): boolean {
    return this.#state === 'moving' && !this.#isBroughtBack;
  }

  ack(): void {
    if (this.#take('over')) this.#settle('ack');
  }

  release(): void {
    if (this.#take('over')) this.#settle('return');
  }

  async retry(delayMs: number, failure: Failure): Promise<void> {
    if (this.#republisher.isDelayOfQueue(this.#source.queue, this, delayMs)) {
      // It never leaves its queue. If the channel dies with the rejection, it counts as failed anyway.
      if (this.#take('over')) this.#settle('fail');
      return;
    }
    await this.#redeliver(delayMs, failure, 'fail');
  }

  async postpone(delayMs: number): Promise<void> {
    await this.#redeliver(delayMs, undefined, 'return');
  }

  async #redeliver(
    delayMs: number,
    failure: Failure | undefined,
    otherwise: 'fail' | 'return',
  ): Promise<void> {
    if (!this.#take('moving')) return;
    await this.#move(otherwise, async (signal) => {
      if (!(delayMs >= 0 && delayMs <= MAX_DELAY_MS)) {
        throw new QueueError('INVALID_OPTION', `delayMs: expected 0 to ${MAX_DELAY_MS} ms, got ${delayMs}`);
      }
      const { queue, exactDelaysMs } = this.#source;
      const delay: RetryDelay = exactDelaysMs.includes(delayMs)
        ? { ms: Math.ceil(delayMs), isStep: false }
        : { ms: delayStepOf(delayMs), isStep: true };
      try {
        await this.#republisher.retry(queue, this, delay, failure, signal);
      } catch (error) {
        if (!isQueueError(error, 'TOO_LARGE')) throw error;
        // Its next attempt is one at the message as it is. Its queue may not count that.
        const attempt = failure === undefined ? this.attempt : this.attempt + 1;
        this.#republisher.oversized.setAttempt(queue, this.received, attempt);
        this.#stay(delayMs, otherwise);
        return undefined;
      }
      return 'ack';
    });
  }

  async deadLetter(failure: Failure): Promise<void> {
    if (!this.#take('moving')) return;
    const { queue } = this.#source;
    await this.#move('return', async (signal) => {
      try {
        return (await this.#republisher.deadLetter(queue, this, failure, signal)) ? 'ack' : 'reject';
      } catch (error) {
        if (!isQueueError(error, 'TOO_LARGE')) throw error;
        // The broker's own dead-lettering has no such limit, and keeps no failure.
        if (await this.#republisher.ensureBrokerDeadLetters(queue, signal)) return 'reject';
        this.#stay(TOO_LARGE_REST_MS, 'return');
        throw error;
      }
    });
  }

  /** Moves it to another queue unchanged. Always resolves: if moving fails, it is redelivered. */
  async bringBackTo(queue: string): Promise<void> {
    await this.#bringBack((signal) => this.#republisher.bringBack(queue, this, signal));
  }

  /** Puts it at the end of its queue as if it had never been delivered. Always resolves. */
  async putAtEnd(): Promise<void> {
    await this.#bringBack((signal) => this.#republisher.putAtEnd(this.#source.queue, this, signal));
  }

  async #bringBack(store: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (!this.#take('moving')) return;
    this.#isBroughtBack = true;
    await this.#move('return', (signal) => store(signal).then(() => 'ack')).catch(() => {});
  }

  lose(reason: Error): boolean {
    if (this.#state === 'over') return false;
    this.#state = 'over';
    this.#lost?.abort(reason);
    return this.isSubscribers;
  }

  /**
   * Stores it elsewhere before removing it: a crash in between duplicates the message, and never loses it. `store` resolves
   * to how it is settled then; undefined if it stays. `otherwise`: how it is settled when it could not be stored.
   */
  async #move(
    otherwise: BrokerSettlement,
    store: (signal: AbortSignal) => Promise<BrokerSettlement | undefined>,
  ): Promise<void> {
    this.#lost = new AbortController();
    let settlement: BrokerSettlement | undefined;
    try {
      settlement = await store(this.#lost.signal);
    } catch (error) {
      // Without a pause, a message that can't be stored would be redelivered in a tight loop.
      if (this.isLast) void this.#moveLater(store, this.#lost.signal);
      else if (this.#state === 'moving') await pause(FAILED_MOVE_REST_MS, this.#lost.signal);
      this.#finish('moving', otherwise);
      throw error;
    }
    if (settlement !== undefined) this.#finish('moving', settlement);
  }

  /** Tries again until it is stored, or its channel has ended. Never rejects. */
  async #moveLater(
    store: (signal: AbortSignal) => Promise<BrokerSettlement | undefined>,
    signal: AbortSignal,
  ) {
    if (this.#state === 'moving') this.#state = 'staying';
    for (let tries = 1; this.#state === 'staying'; tries++) {
      await pause(backoffMs(tries, LAST_MOVE_BACKOFF), signal);
      const settlement = await store(signal).catch(() => undefined);
      if (settlement !== undefined) this.#finish('staying', settlement);
    }
  }

  /** Keeps it unsettled for a while before it returns to its queue. For its subscriber that is over. */
  #stay(waitMs: number, settlement: BrokerSettlement): void {
    if (this.#state !== 'moving' || this.isLast) return;
    this.#state = 'staying';
    this.isSubscribers = false;
    const { settleWithinMs = Number.POSITIVE_INFINITY } = this;
    const ms = Math.min(waitMs, MAX_WAIT_MS, settleWithinMs / 2);
    void pause(ms, this.#lost?.signal).then(() => this.#finish('staying', settlement));
  }

  #finish(from: 'moving' | 'staying', settlement: BrokerSettlement): void {
    if (this.#state !== from) return;
    this.#state = 'over';
    this.#settle(settlement);
  }

  #settle(settlement: BrokerSettlement): void {
    const isRemoved = settlement === 'ack' || settlement === 'reject';
    if (isRemoved && this.redelivered) this.#republisher.oversized.forget(this.#source.queue, this.received);
    this.#source.settle(this.#unsettled, settlement);
  }

  #take(next: 'moving' | 'over'): boolean {
    if (this.#state !== 'open') return false;
    this.#state = next;
    return true;
  }
}

/**
 * How often the message returned, according to its quorum queue. A queue does not set this header on a new message, nor on
 * a redelivery without a failure, so the header of an earlier queue may show through. The queue's own count never exceeds
 * the number of its assignments, which RabbitMQ reports since 4.3.
 */
function returnsOf({ fields, headers }: ReceivedMessage): number {
  if (!fields.redelivered) return 0;
  const returns = countOf(headers, 'x-delivery-count');
  const isReported = Object.hasOwn(headers.values, 'x-acquired-count');
  return isReported && returns > countOf(headers, 'x-acquired-count') ? 0 : returns;
}
