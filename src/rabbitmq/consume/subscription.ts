import { AsyncResource } from 'node:async_hooks';
import type { BrokerEvent, Failure, QueueSubscription, SubscribeOptions, WaitOptions } from '../../broker.js';
import { errorText } from '../../common/options.js';
import { emitWarning } from '../../common/reporting/logger.js';
import { anyOf, backoffMs, CLOSE_LIMIT_MS, Deferred, pause } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import { isNotFound, queueError } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import type { KeepAlive } from '../connection/keep-alive.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { onConnection } from '../connection/request.js';
import type { Topology } from '../topology/topology.js';
import type { ReceivedMessage } from '../wire/amqp-message.js';
import { ConsumerChannel } from './consumer-channel.js';
import { consumerSettings } from './consumer-settings.js';
import { RabbitMqDelivery } from './delivery.js';
import type { Republisher } from './republisher.js';
import { resubscribeFailure } from './resubscribe-failure.js';
import type { UnsettledDelivery } from './settlements.js';

const RESUBSCRIBE_BACKOFF = { initialDelayMs: 100, maxDelayMs: 10_000 };

/** Of quorum queues since RabbitMQ 4.0. */
const DEFAULT_DELIVERY_LIMIT = 20;

/** After this many returns a spared message is stored anew, if the broker counts returns. */
const SPARED_FROM = 3;

export interface SubscriptionParts {
  readonly link: ReconnectingConnection;
  readonly topology: Topology;
  readonly republisher: Republisher;
  readonly keepAlive: KeepAlive;
  readonly observe: (event: BrokerEvent) => void;
  /** A message was delivered again. */
  readonly onRedelivery?: ((queue: string) => void) | undefined;
}

/**
 *   subscribing ──► active ──link or channel lost, cancelled by the broker──► resting ──┐
 *        ▲            │                                                        │        │
 *        └────────────┼──────────────── back-off, link connected ─────────────┼────────┘
 *                     │                                                        │
 *                  cancel() ──► cancelled: what is out may be settled       (hopeless)
 *                     │             │                                          │
 *                     └──────── close() ──► closed ◄───────────────────────────┘
 */
export class RabbitMqSubscription implements QueueSubscription {
  readonly #queue: string;
  readonly #options: SubscribeOptions;
  readonly #parts: SubscriptionParts;
  readonly #onDelivery: (delivery: RabbitMqDelivery) => void;
  /** Aborted by the first of `cancel` and `close`: nothing starts after that. */
  readonly #stopped = new AbortController();
  #consumer: ConsumerChannel | undefined;
  #closing: Promise<void> | undefined;
  #attempts = 0;
  readonly #ended = new Deferred();

  constructor(
    queue: string,
    options: SubscribeOptions,
    onDelivery: (delivery: RabbitMqDelivery) => void,
    parts: SubscriptionParts,
  ) {
    this.#queue = queue;
    // Frames arrive in the async context in which the connection was opened, by any caller.
    const onLost = options.onLost && AsyncResource.bind(options.onLost);
    this.#options = { ...options, onLost };
    this.#onDelivery = AsyncResource.bind(onDelivery);
    this.#parts = parts;
    this.ended.catch(() => {});
  }

  /** Subscribes for the first time. Rejects as `Broker.subscribe` does, and with `CLOSED` if it is ended meanwhile. */
  async start(): Promise<void> {
    const what = `subscribing to '${this.#queue}'`;
    const { signal: own, timeoutMs } = this.#options;
    const stopped = this.#stopped.signal;
    const { signal, release } = anyOf(own === undefined ? [stopped] : [stopped, own]);
    const wait = { signal, timeoutMs };
    try {
      void this.#keep(await this.#parts.link.within(this.#beginFirst(wait), what, wait));
    } catch (error) {
      const wasStopped = stopped.aborted;
      void this.endByBroker();
      throw wasStopped ? this.#closed() : queueError(error, what, this.#queue);
    } finally {
      release();
    }
  }

  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  unref(): void {
    this.#parts.keepAlive.set(this, false);
  }

  ref(): void {
    this.#parts.keepAlive.set(this, true);
  }

  async cancel(): Promise<void> {
    this.#stopped.abort();
    await this.#consumer?.cancel();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close(() => {});
    return this.#closing;
  }

  /** As `close`, and reports unsettled deliveries as lost, since the subscriber did not request the end. */
  endByBroker(): Promise<void> {
    this.#closing ??= this.#close(this.#options.onLost);
    return this.#closing;
  }

  async #close(onLost: SubscribeOptions['onLost']): Promise<void> {
    await this.cancel();
    // A message that is on its way to another queue arrives there rather than being there and here.
    await this.#consumer?.allMoved(CLOSE_LIMIT_MS);
    await this.#consumer?.close(this.#closed(), onLost);
    this.#ended.resolve();
  }

  #closed(): QueueError {
    return new QueueError('CLOSED', `the subscription to '${this.#queue}' was closed`);
  }

  /** As `#begin`, and declares the queue once more if it was deleted since this process declared it. */
  async #beginFirst(wait: WaitOptions): Promise<ConsumerChannel> {
    try {
      return await this.#begin(wait);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const isRestored = await onConnection(
        this.#parts.link,
        `declaring '${this.#queue}' again`,
        wait,
        (connection) => this.#parts.topology.lost.restoreQueue(connection, this.#queue),
      );
      if (!isRestored || this.#stopped.signal.aborted) throw error;
      return this.#begin(wait);
    }
  }

  /** Subscribes once, on the current connection or the next one. Rejects with the error. */
  async #begin(wait: WaitOptions): Promise<ConsumerChannel> {
    const what = `subscribing to '${this.#queue}'`;
    return onConnection(this.#parts.link, what, wait, (connection) => this.#beginOn(connection));
  }

  async #beginOn(connection: Connection): Promise<ConsumerChannel> {
    if (this.#stopped.signal.aborted) throw this.#closed();
    await this.#parts.topology.untilRunning(connection, this.#queue);
    const settings = consumerSettings(this.#options, this.#parts.topology.specOf(this.#queue));
    // The client that deleted the queue may have recreated it, without the bindings.
    if (this.#attempts > 0) await this.#parts.topology.lost.restoreBindings(connection, this.#queue);
    const consumer = await ConsumerChannel.open(connection, this.#queue, settings, {
      onMessage: (received, unsettled, source) => this.#onMessage(received, unsettled, source),
      onLost: this.#options.onLost,
    });
    // From here on, `cancel` and `close` reach it.
    this.#consumer = consumer;
    if (this.#stopped.signal.aborted) void consumer.cancel();
    await consumer.start();
    return consumer;
  }

  /** Subscribes again each time that the broker or the link has ended the subscription. Never rejects. */
  async #keep(first: ConsumerChannel): Promise<void> {
    let reason = await first.ended;
    while (!this.#stopped.signal.aborted) {
      try {
        await this.#rest(reason);
        if (this.#stopped.signal.aborted) return;
        const consumer = await this.#begin({ signal: this.#stopped.signal });
        if (this.#stopped.signal.aborted) return;
        this.#parts.observe({ type: 'resubscribed', queue: this.#queue });
        reason = await consumer.ended;
        // A message that kills every consumer must not cause a tight resubscribe loop.
        if (consumer.hasSettled) this.#attempts = 0;
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        reason = error instanceof Error ? error : new Error(String(error));
        const failure = await resubscribeFailure(
          error,
          this.#queue,
          this.#parts.link.connection,
          this.#parts.topology,
        );
        if (failure !== undefined) {
          this.#ended.reject(failure);
          void this.close();
          return;
        }
      }
    }
  }

  /** The connection has its own back-off: this one is for a broker that is reachable. */
  async #rest(reason: Error): Promise<void> {
    const { link, observe } = this.#parts;
    if (!link.connection?.isOpen) return;
    this.#attempts++;
    const retryInMs = backoffMs(this.#attempts, RESUBSCRIBE_BACKOFF);
    observe({ type: 'unsubscribed', queue: this.#queue, reason, retryInMs });
    await pause(retryInMs, this.#stopped.signal);
  }

  /** Called by amqplib, where an exception would close the channel. */
  #onMessage(received: ReceivedMessage, unsettled: UnsettledDelivery, source: ConsumerChannel): void {
    // The broker sent it before it processed the cancellation.
    if (this.#stopped.signal.aborted) {
      source.settle(unsettled, 'return');
      return;
    }
    const delivery = new RabbitMqDelivery(received, unsettled, source, this.#parts.republisher);
    delivery.isLast = !source.version.countsFailuresOnly && this.#isLastDelivery(delivery, source);
    if (this.#isToBeSpared(delivery, source)) {
      void delivery.putAtEnd();
      return;
    }
    const failure = this.#failureOf(received, delivery, source);
    if (failure !== undefined) {
      const { id } = delivery.message;
      delivery.deadLetter(failure).then(
        () => this.#parts.observe({ type: 'dead-lettered', queue: this.#queue, id, failure }),
        (error) => this.#parts.observe({ type: 'settle-failed', queue: this.#queue, id, error }),
      );
      return;
    }
    if (delivery.redelivered) this.#parts.onRedelivery?.(this.#queue);
    delivery.isSubscribers = true;
    try {
      this.#onDelivery(delivery);
    } catch (error) {
      emitWarning(
        'MILLRACE_SUBSCRIBER',
        `a subscriber callback of '${this.#queue}' threw (callbacks must not throw): ${errorText(error)}`,
        error,
      );
      source.settle(unsettled, 'fail');
      delivery.lose(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** Why a message becomes a dead letter without being handled; undefined if it can be handled. */
  #failureOf(
    { headers, lost }: ReceivedMessage,
    delivery: RabbitMqDelivery,
    source: ConsumerChannel,
  ): Failure | undefined {
    // A subscriber that only inspects messages moves none elsewhere, and gets the readable part.
    if (this.#options.sparesLimit === true) return undefined;
    if (this.#isLastDelivery(delivery, source)) {
      const error = `came back ${delivery.returns} times without being settled`;
      return { code: 'delivery-limit', error };
    }
    const why = headers.unreadable ?? (lost && `its headers ${lost.join(', ')} can't be read`);
    return why === undefined ? undefined : { code: 'undecodable', error: why };
  }

  /**
   * Whether it is put at the end of its queue, because the broker may drop it when it comes back. The queue's limit can't
   * be queried where each return counts; one lower than this would hardly be useful.
   */
  #isToBeSpared(delivery: RabbitMqDelivery, source: ConsumerChannel): boolean {
    if (this.#options.sparesLimit !== true) return false;
    if (this.#isLastDelivery(delivery, source)) return true;
    return !source.version.countsFailuresOnly && delivery.returns >= SPARED_FROM;
  }

  /**
   * Whether the broker would drop the message if it came back once more: a queue shared with other programs has a
   * delivery limit, and was declared without dead-lettering.
   */
  #isLastDelivery({ returns }: RabbitMqDelivery, { version }: ConsumerChannel): boolean {
    if (returns === 0) return false;
    const spec = this.#parts.topology.specOf(this.#queue);
    if (spec === undefined || spec.declare === 'match' || spec.deadLetter === false) return false;
    const limit = spec.deliveryLimit ?? (version.limitsDeliveries ? DEFAULT_DELIVERY_LIMIT : undefined);
    return limit !== undefined && returns >= limit;
  }
}
