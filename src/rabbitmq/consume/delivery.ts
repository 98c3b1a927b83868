import type { Failure, Message } from '../../broker.js';
import { attemptOf, postponesOf } from '../../common/history-headers.js';
import { pause } from '../../common/limits.js';
import { MAX_DELAY_MS } from '../../common/options.js';
import { QueueError } from '../../errors.js';
import type { ServerVersion } from '../connection/server-version.js';
import { delayStepOf } from '../topology/delay-steps.js';
import { fromWire, RESENT_HEADER, type ReceivedMessage } from '../wire/amqp-message.js';
import { countOf } from '../wire/broker-death.js';
import { NO_HEADERS } from '../wire/header-table.js';
import type { Republisher } from './republisher.js';
import type { HeldDelivery, Settlement, UnsettledDelivery } from './settlements.js';

/** How long a message that could not be moved is kept before it goes back to its queue. */
const FAILED_MOVE_REST_MS = 1_000;

/** What a delivery is settled through: the channel that it came on, for as long as that is there. */
export interface DeliverySource {
  readonly queue: string;
  readonly version: ServerVersion;
  /** As in `Delivery`. */
  readonly settleWithinMs: number | undefined;
  /** Whether its queue counts how often messages came back: quorum queues do. */
  readonly countsReturns: boolean;
  /** As in `SubscribeOptions`. */
  readonly exactDelaysMs: readonly number[];
  settle(unsettled: UnsettledDelivery, settlement: Settlement): void;
}

/**
 *   open ──ack, release, a retry that the queue delays itself──► over
 *    │ └──retry, postpone, deadLetter──► moving ──stored, then acknowledged; or failed, then back──► over
 *    └──lost──► over ◄──lost────┘
 */
export class RabbitMqDelivery implements HeldDelivery {
  readonly message: Message;
  readonly attempt: number;
  readonly redelivered: boolean;
  readonly settleWithinMs: number | undefined;
  readonly receivedAt: number | undefined;
  /** As it came, for moving it on. */
  readonly received: ReceivedMessage;
  /** How often it came back to its queue; a classic queue does not count that. */
  readonly returns: number;

  readonly #unsettled: UnsettledDelivery;
  readonly #source: DeliverySource;
  readonly #republisher: Republisher;
  #state: 'open' | 'moving' | 'over' = 'open';
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
    // Before 4.3 it counts returns at no cost as well, which are to raise nothing.
    const failures = source.version.countsFailuresOnly ? this.returns : 0;
    this.message = fromWire(received);
    this.settleWithinMs = source.settleWithinMs;
    this.receivedAt = this.settleWithinMs === undefined ? undefined : performance.now();
    const { values } = received.headers;
    const hasHistory = received.headers !== NO_HEADERS;
    this.attempt = (hasHistory ? attemptOf(values) : 1) + failures;
    this.redelivered =
      received.fields.redelivered ||
      this.returns > 0 ||
      this.attempt > 1 ||
      (hasHistory && (postponesOf(values) > 0 || Object.hasOwn(values, RESENT_HEADER)));
  }

  /** Whether it is on its way to another queue, and should arrive there before its channel is closed. */
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
      // It never leaves its queue. Should the channel die with the rejection, it counts as failed all the same.
      if (this.#take('over')) this.#settle('fail');
      return;
    }
    await this.#comeAgain(delayMs, failure, 'fail');
  }

  async postpone(delayMs: number): Promise<void> {
    await this.#comeAgain(delayMs, undefined, 'return');
  }

  async #comeAgain(
    delayMs: number,
    failure: Failure | undefined,
    otherwise: 'fail' | 'return',
  ): Promise<void> {
    if (!this.#take('moving')) return;
    const goBack = () => this.#settle(otherwise);
    await this.#move(goBack, async (signal) => {
      if (!(delayMs >= 0 && delayMs <= MAX_DELAY_MS)) {
        throw new QueueError('INVALID_OPTION', `delayMs: expected 0 to ${MAX_DELAY_MS} ms, got ${delayMs}`);
      }
      const { queue, exactDelaysMs } = this.#source;
      const waitMs = exactDelaysMs.includes(delayMs) ? Math.ceil(delayMs) : delayStepOf(delayMs);
      await this.#republisher.retry(queue, this, waitMs, failure, signal);
      return true;
    });
  }

  async deadLetter(failure: Failure): Promise<void> {
    if (!this.#take('moving')) return;
    const goBack = () => this.#settle('return');
    await this.#move(goBack, (signal) =>
      this.#republisher.deadLetter(this.#source.queue, this, failure, signal),
    );
  }

  /** Moves it to another queue, as it is. Resolves in any case: should that fail, it comes again. */
  async bringBackTo(queue: string): Promise<void> {
    await this.#bringBack((signal) => this.#republisher.bringBack(queue, this, signal));
  }

  /** Puts it at the end of its queue, as one that was never delivered. Resolves in any case. */
  async putAtEnd(): Promise<void> {
    await this.#bringBack((signal) => this.#republisher.putAtEnd(this.#source.queue, this, signal));
  }

  async #bringBack(store: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (!this.#take('moving')) return;
    this.#isBroughtBack = true;
    const goBack = () => this.#settle('return');
    await this.#move(goBack, (signal) => store(signal).then(() => true)).catch(() => {});
  }

  /** It can't be settled any more. False where it was settled before. */
  lose(reason: Error): boolean {
    if (this.#state === 'over') return false;
    this.#state = 'over';
    this.#lost?.abort(reason);
    return true;
  }

  /** Stores it elsewhere first, and only then removes it: between the two it may be there twice, never not at all. */
  async #move(goBack: () => void, store: (signal: AbortSignal) => Promise<boolean>): Promise<void> {
    this.#lost = new AbortController();
    let stored: boolean;
    try {
      stored = await store(this.#lost.signal);
    } catch (error) {
      // Without a rest, a message that can't be stored would go round as fast as it can.
      await pause(FAILED_MOVE_REST_MS, this.#lost.signal);
      if (this.#state === 'moving') {
        this.#state = 'over';
        goBack();
      }
      throw error;
    }
    if (this.#state !== 'moving') return;
    this.#state = 'over';
    if (stored) this.#settle('ack');
    else this.#settle('drop');
  }

  #settle(settlement: Settlement): void {
    this.#source.settle(this.#unsettled, settlement);
  }

  #take(next: 'moving' | 'over'): boolean {
    if (this.#state !== 'open') return false;
    this.#state = next;
    return true;
  }
}

/**
 * How often a quorum queue says that the message came back. A new message comes without that header being set by its
 * queue, so one of an earlier queue shows through; so does it when the message comes again without having failed. The
 * queue's own count never exceeds the number of its assignments, which RabbitMQ reports since 4.3.
 */
function returnsOf({ fields, headers }: ReceivedMessage): number {
  if (!fields.redelivered) return 0;
  const returns = countOf(headers, 'x-delivery-count');
  const isReported = Object.hasOwn(headers.values, 'x-acquired-count');
  return isReported && returns > countOf(headers, 'x-acquired-count') ? 0 : returns;
}
