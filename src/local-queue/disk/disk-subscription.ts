import { setImmediate } from 'node:timers';
import type { Delivery, Message, SubscribeOptions, Subscription } from '../../broker.js';
import type { QueueError } from '../../errors.js';
import { DiskDelivery } from './disk-delivery.js';
import { decodeRecord } from './message-record.js';
import type { DeliveryBatch } from './protocol.js';
import type { Pending, Receiver, StoreLink } from './store-link.js';
import { withinTime } from './within-time.js';

const NOBODY: Pending = { done() {}, refused() {}, gone() {} };

/**
 *   active ──cancel()──► cancelled ──close(), the broker's close, the thread's end──► closed
 *     └──close(), the broker's close, the thread's end──────────────────────────────► ▲
 */
export class DiskSubscription implements Subscription, Receiver {
  readonly ended: Promise<void>;
  readonly link: StoreLink;
  readonly #number: number;
  readonly #onDelivery: (delivery: Delivery) => void;
  readonly #onLost: SubscribeOptions['onLost'];
  /** By ticket. */
  readonly #unsettled = new Map<number, DiskDelivery>();
  #state: 'active' | 'cancelled' | 'closed' = 'active';
  #cancelling: Promise<void> | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;
  #end!: (error?: QueueError) => void;

  /** `subscription` is its number at the link. */
  constructor(
    link: StoreLink,
    subscription: number,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ) {
    this.link = link;
    this.#number = subscription;
    this.#onDelivery = onDelivery;
    this.#onLost = options.onLost;
    this.ended = new Promise((resolve, reject) => {
      this.#end = (error) => (error === undefined ? resolve() : reject(error));
    });
    // For those who do not look at it.
    this.ended.catch(() => {});
    link.receive(subscription, this);
  }

  deliver({ tickets, attempts, redelivered, ends, records }: DeliveryBatch): void {
    const bytes = Buffer.from(records.buffer, records.byteOffset, records.byteLength);
    const unseen: number[] = [];
    let start = 0;
    for (const [index, ticket] of tickets.entries()) {
      const end = ends[index] as number;
      // The subscriber may have cancelled a moment ago, or at the delivery before.
      if (this.#state !== 'active') unseen.push(ticket);
      else {
        const history = {
          attempt: attempts[index] as number,
          redelivered: redelivered[index] as boolean,
        };
        this.#handOut(ticket, bytes.subarray(start, end), history);
      }
      start = end;
    }
    if (unseen.length > 0) this.link.outbox.add({ kind: 'release', tickets: unseen, unseen: true });
  }

  lost(tickets: readonly number[], reason: Error): void {
    for (const ticket of tickets) {
      const delivery = this.#unsettled.get(ticket);
      if (delivery === undefined) continue;
      this.#unsettled.delete(ticket);
      delivery.lose();
      this.#onLost?.(delivery, reason);
    }
  }

  /** The store thread ended. */
  fail(error: QueueError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.lost([...this.#unsettled.keys()], error);
    this.#end(error);
  }

  forget(ticket: number): void {
    this.#unsettled.delete(ticket);
  }

  unref(): void {
    this.link.keepAliveFor(this.#number, false);
  }

  ref(): void {
    this.link.keepAliveFor(this.#number, true);
  }

  cancel(): Promise<void> {
    this.#cancelling ??= this.#cancel();
    return this.#cancelling;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The broker is closed: the subscriber, who did not ask for it, is told what it lost. */
  endByBroker(reason: QueueError): Promise<void> {
    this.#state = 'cancelled';
    this.lost([...this.#unsettled.keys()], reason);
    return this.close();
  }

  async #cancel(): Promise<void> {
    if (this.#state === 'active') this.#state = 'cancelled';
    const subscription = this.#number;
    // Deliveries that were on their way have come when this is answered, and have gone back unseen.
    await withinTime(this.link.command((id) => ({ kind: 'cancel', id, subscription })));
    this.link.stopReceiving(subscription);
  }

  async #close(): Promise<void> {
    const cancelling = this.cancel();
    for (const delivery of this.#unsettled.values()) delivery.lose();
    this.#unsettled.clear();
    await cancelling;
    const subscription = this.#number;
    await withinTime(this.link.command((id) => ({ kind: 'unsubscribe', id, subscription })));
    this.#state = 'closed';
    this.#end();
  }

  #handOut(
    ticket: number,
    record: Buffer,
    history: { readonly attempt: number; readonly redelivered: boolean },
  ): void {
    let message: Message;
    try {
      message = decodeRecord(record);
    } catch (error) {
      const failure = {
        code: 'undecodable',
        error: `what is stored is no message: ${String(error)}`,
      } as const;
      this.link.ask(NOBODY, (id) => this.link.outbox.add({ kind: 'dead-letter', id, ticket, failure }));
      return;
    }
    const delivery = new DiskDelivery(this, ticket, message, history);
    this.#unsettled.set(ticket, delivery);
    try {
      this.#onDelivery(delivery);
    } catch (error) {
      // It must not throw. Should it do so, the error surfaces as uncaught, and the queue goes on.
      setImmediate(() => {
        throw error;
      });
    }
  }
}
