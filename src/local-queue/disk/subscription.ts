import { AsyncResource } from 'node:async_hooks';
import { setImmediate } from 'node:timers';
import type {
  BrokerEvent,
  Delivery,
  Failure,
  Message,
  QueueSubscription,
  SubscribeOptions,
} from '../../broker.js';
import { Deferred, pause } from '../../common/waiting/waiting.js';
import { isQueueError, type QueueError } from '../../errors.js';
import { DiskDelivery } from './delivery.js';
import { BodyReader, messageAt } from './message-lists.js';
import type { Command, DeliveryBatch } from './protocol.js';
import {
  type Asked,
  type Pending,
  type Receiver,
  type StoreClient,
  withinAnswerLimit,
} from './store-client.js';

const NO_CALLER: Pending = { done() {}, refused() {}, gone() {} };

/** How long a subscription rests that can't be renewed, because the disk is full, for example. */
const REST_MS = 1000;

export interface SubscribedTo {
  readonly client: StoreClient;
  readonly command: Asked<Extract<Command, { kind: 'subscribe' }>>;
  /** Must not throw. */
  readonly observe: (event: BrokerEvent) => void;
  /** Declares the queue again. Resolves to false if that is not this broker's to do. */
  readonly restore: () => Promise<boolean>;
}

/**
 *   active ──cancel()──► cancelled ──close(), the broker's close, the thread's end──► closed
 *    │ ▲└──close(), the broker's close, the thread's end, no renewal────────────────► ▲
 *    └─┘ renewed, when another program has removed the queue
 */
export class DiskSubscription implements QueueSubscription, Receiver {
  readonly client: StoreClient;
  readonly #command: SubscribedTo['command'];
  /** At the client and the store. A renewed subscription gets another one. */
  #number: number;
  readonly #queue: string;
  readonly #observe: (event: BrokerEvent) => void;
  readonly #restore: () => Promise<boolean>;
  #keepsAlive = true;
  readonly #onDelivery: (delivery: Delivery) => void;
  readonly #onLost: SubscribeOptions['onLost'];
  /** By ticket. */
  readonly #unsettled = new Map<number, DiskDelivery>();
  #state: 'active' | 'cancelled' | 'closed' = 'active';
  #cancelling: Promise<void> | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;
  readonly #ended = new Deferred();

  constructor(
    { client, command, observe, restore }: SubscribedTo,
    options: SubscribeOptions,
    onDelivery: (delivery: Delivery) => void,
  ) {
    this.client = client;
    this.#command = command;
    this.#number = command.subscription;
    this.#queue = command.queue;
    this.#observe = observe;
    this.#restore = restore;
    this.#onDelivery = onDelivery;
    this.#onLost = options.onLost;
    // `ended` may be ignored without an unhandled rejection.
    this.ended.catch(() => {});
    // Replies arrive in the async context in which the store was first opened, by any caller.
    this.deliver = AsyncResource.bind(this.deliver.bind(this));
    this.lost = AsyncResource.bind(this.lost.bind(this));
    client.receive(this.#number, this);
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  deliver({ tickets, attempts, redelivered, messages }: DeliveryBatch): void {
    const bodies = new BodyReader(messages);
    const undelivered: number[] = [];
    for (const [index, ticket] of tickets.entries()) {
      const body = bodies.next();
      // The subscriber may have cancelled a moment ago, or at the delivery before.
      if (this.#state !== 'active') {
        undelivered.push(ticket);
        continue;
      }
      const history = {
        attempt: attempts[index] as number,
        redelivered: redelivered[index] as boolean,
      };
      const messageId = messages.ids[index] as string;
      this.#handOut(ticket, messageId, () => messageAt(messages, index, body), history);
    }
    if (undelivered.length > 0)
      this.client.outbox.add({ kind: 'release', tickets: undelivered, undelivered: true });
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

  setAside(id: string, failure: Failure): void {
    this.#observe({ type: 'dead-lettered', queue: this.#queue, id, failure });
  }

  /** The store thread ended, or the queue was removed. */
  fail(error: QueueError): void {
    if (this.#state === 'closed') return;
    this.lost([...this.#unsettled.keys()], error);
    if (this.#state === 'active' && isQueueError(error, 'QUEUE_MISSING')) void this.#renew(error);
    else this.#end(error);
  }

  #end(error: QueueError): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#ended.reject(error);
  }

  /**
   * Another program has removed the queue: this one declares it again and goes on, as on RabbitMQ. Never rejects. Unsettled
   * deliveries are lost by then.
   */
  async #renew(removed: QueueError): Promise<void> {
    const { client } = this;
    const tell = (reason: Error, retryInMs: number) =>
      this.#observe({ type: 'unsubscribed', queue: this.#queue, reason, retryInMs });
    let attempts = 0;
    while (this.#state === 'active') {
      try {
        if (!(await this.#restore())) return this.#end(removed);
        if (attempts++ === 0) tell(removed, 0);
        if (this.#state !== 'active') return;
        const subscription = client.newSubscription();
        this.#number = subscription;
        client.receive(subscription, this);
        client.keepAliveFor(subscription, this.#keepsAlive);
        await client.command({ ...this.#command, subscription }, (answer) => answer);
        this.#observe({ type: 'resubscribed', queue: this.#queue });
        return;
      } catch (error) {
        client.stopReceiving(this.#number);
        if (this.#state !== 'active') return;
        const reason = error as QueueError;
        if (client.ended !== undefined) return this.#end(reason);
        // It was removed once more, or the disk is full, for example.
        tell(reason, REST_MS);
        await pause(REST_MS, undefined, { keepAlive: this.#keepsAlive });
      }
    }
  }

  forget(ticket: number): void {
    this.#unsettled.delete(ticket);
  }

  unref(): void {
    this.#keepsAlive = false;
    this.client.keepAliveFor(this.#number, false);
  }

  ref(): void {
    this.#keepsAlive = true;
    this.client.keepAliveFor(this.#number, true);
  }

  cancel(): Promise<void> {
    this.#cancelling ??= this.#cancel();
    return this.#cancelling;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The broker is closed. Reports unsettled deliveries as lost, since the subscriber did not request the end. */
  endByBroker(reason: QueueError): Promise<void> {
    this.#state = 'cancelled';
    this.lost([...this.#unsettled.keys()], reason);
    return this.close();
  }

  async #cancel(): Promise<void> {
    if (this.#state === 'active') this.#state = 'cancelled';
    const subscription = this.#number;
    // Deliveries in transit have arrived when the response comes, and were returned undelivered.
    await this.client.command({ kind: 'cancel', subscription }, withinAnswerLimit);
    this.client.stopReceiving(subscription);
  }

  async #close(): Promise<void> {
    const begin = performance.now();
    const cancelling = this.cancel();
    for (const delivery of this.#unsettled.values()) delivery.lose();
    this.#unsettled.clear();
    await cancelling;
    const subscription = this.#number;
    await this.client.command({ kind: 'unsubscribe', subscription }, (answer) =>
      withinAnswerLimit(answer, begin),
    );
    this.#state = 'closed';
    this.#ended.resolve();
  }

  #handOut(
    ticket: number,
    messageId: string,
    read: () => Message,
    history: { readonly attempt: number; readonly redelivered: boolean },
  ): void {
    let message: Message;
    try {
      message = read();
    } catch (error) {
      const failure = {
        code: 'undecodable',
        error: `the stored message can't be read: ${String(error)}`,
      } as const;
      this.client.ask(NO_CALLER, (id) =>
        this.client.outbox.add({ kind: 'dead-letter', id, ticket, failure }),
      );
      this.setAside(messageId, failure);
      return;
    }
    const delivery = new DiskDelivery(this, ticket, message, history);
    this.#unsettled.set(ticket, delivery);
    try {
      this.#onDelivery(delivery);
    } catch (error) {
      // It must not throw. Should it do so, the error surfaces as uncaught, and the queue continues.
      setImmediate(() => {
        throw error;
      });
    }
  }
}
