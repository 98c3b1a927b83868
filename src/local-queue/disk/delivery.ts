import type { Delivery, Failure, Message } from '../../broker.js';
import { durationOption } from '../../common/options.js';
import type { StoreClient } from './store-client.js';

const DONE: Promise<void> = Promise.resolve();

/** The parts of its subscription that a delivery needs. */
export interface DeliveryOwner {
  readonly client: StoreClient;
  /** The delivery no longer belongs to the subscriber. */
  forget(ticket: number): void;
}

/**
 *   unsettled ──one of the verbs──► settled
 *       └──lose()─────────────────► ▲
 *
 * The store thread performs the verbs, and ignores those that come after a loss.
 */
export class DiskDelivery implements Delivery {
  readonly message: Message;
  readonly attempt: number;
  readonly redelivered: boolean;
  readonly #ticket: number;
  readonly #owner: DeliveryOwner;
  #settled = false;

  constructor(
    owner: DeliveryOwner,
    ticket: number,
    message: Message,
    history: { readonly attempt: number; readonly redelivered: boolean },
  ) {
    this.message = message;
    this.attempt = history.attempt;
    this.redelivered = history.redelivered;
    this.#ticket = ticket;
    this.#owner = owner;
  }

  ack(): void {
    if (!this.#settle()) return;
    this.#owner.client.outbox.ack(this.#ticket);
    this.#owner.forget(this.#ticket);
  }

  release(): void {
    if (!this.#settle()) return;
    this.#owner.client.outbox.add({ kind: 'release', tickets: [this.#ticket], undelivered: false });
    this.#owner.forget(this.#ticket);
  }

  retry(delayMs: number, failure: Failure): Promise<void> {
    return this.#redeliver(delayMs, failure);
  }

  postpone(delayMs: number): Promise<void> {
    return this.#redeliver(delayMs, undefined);
  }

  async #redeliver(delayMs: number, failure: Failure | undefined): Promise<void> {
    const delay = durationOption('delayMs', delayMs, { default: 0 });
    if (!this.#settle()) return DONE;
    const ticket = this.#ticket;
    this.#owner.forget(ticket);
    const { client } = this.#owner;
    await client.request((id) => client.outbox.add({ kind: 'retry', id, ticket, delayMs: delay, failure }));
  }

  async deadLetter(failure: Failure): Promise<void> {
    if (!this.#settle()) return DONE;
    const ticket = this.#ticket;
    const { client } = this.#owner;
    try {
      // Waits while the dead-letter queue is full; until then it can be lost like one that is unsettled.
      await client.request((id) => client.outbox.add({ kind: 'dead-letter', id, ticket, failure }));
    } finally {
      this.#owner.forget(ticket);
    }
  }

  /** The store has taken the message back. */
  lose(): void {
    this.#settled = true;
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    return true;
  }
}
