import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Channel, type ConsumeMessage, IllegalOperationError } from 'amqplib';
import type { SubscribeOptions } from '../../broker.js';
import { CLOSE_LIMIT_MS, Deferred, RPC_LIMIT_MS, settledWithin, within } from '../../common/limits.js';
import { LinkedList } from '../../common/linked-list.js';
import { type Connection, closeChannel, onChannelClosed } from '../connection/connection.js';
import type { ServerVersion } from '../connection/server-version.js';
import { Acknowledgements } from './acknowledgements.js';
import type { DeliverySource, RabbitMqDelivery } from './delivery.js';

/** How long a broker is given to work settlements off; then the channel is closed all the same. */
const SETTLE_LIMIT_MS = 1_000;
const SETTLE_POLL_MS = 5;

/** What is asked of a consumer, and what is known of its queue. */
export interface ConsumerSettings {
  readonly prefetch: number;
  /** As in `Delivery`. */
  readonly settleWithinMs: number | undefined;
}

export interface ConsumerChannelListener {
  /** Must not throw. */
  onMessage(raw: ConsumeMessage, source: ConsumerChannel): void;
  /** As in `SubscribeOptions`. */
  readonly onLost: SubscribeOptions['onLost'];
}

/**
 * One consumer on one channel, from its beginning to the end of either. All settlements go through here, so that
 * none can reach another channel, whose delivery tags mean other messages.
 */
export class ConsumerChannel implements DeliverySource {
  readonly queue: string;
  readonly version: ServerVersion;
  readonly settleWithinMs: number | undefined;
  readonly #channel: Channel;
  readonly #listener: ConsumerChannelListener;
  /** Handed out and not settled, in the order of their coming: the first has the lowest delivery tag. */
  readonly #open = new LinkedList<RabbitMqDelivery>();
  readonly #acknowledgements: Acknowledgements;
  readonly #ended = new Deferred<Error>();
  #closed = false;
  /** Of our choice: a cancellation can come before the answer that would tell the broker's. */
  readonly #consumerTag = randomUUID();
  #cancelling: Promise<void> | undefined;
  /** Given back while the broker may still deliver: it would send them here again, and the later ones before them. */
  #returning: ConsumeMessage[] | undefined;
  /** How many consumers the queue had when this one was about to be cancelled, with this one. */
  #consumersBefore: number | undefined;
  /** Whether the channel is closed, from whatever side. */
  #isGone = false;
  #allMoved: Deferred | undefined;
  readonly #stopReceiving: () => void;

  /** Rejects with the broker's refusal. */
  static async open(
    connection: Connection,
    queue: string,
    settings: ConsumerSettings,
    listener: ConsumerChannelListener,
  ): Promise<ConsumerChannel> {
    const channel = await connection.openChannel();
    const consumer = new ConsumerChannel(connection, channel, queue, settings, listener);
    try {
      // Before the consumer: RabbitMQ applies it to the consumers that follow.
      await within(channel.prefetch(settings.prefetch), 'setting the prefetch', { timeoutMs: RPC_LIMIT_MS });
      await within(consumer.#consume(), `subscribing to '${queue}'`, { timeoutMs: RPC_LIMIT_MS });
    } catch (error) {
      void consumer.close(error instanceof Error ? error : new Error(String(error)), listener.onLost);
      throw error;
    }
    return consumer;
  }

  private constructor(
    connection: Connection,
    channel: Channel,
    queue: string,
    { prefetch, settleWithinMs }: ConsumerSettings,
    listener: ConsumerChannelListener,
  ) {
    this.queue = queue;
    this.settleWithinMs = settleWithinMs;
    this.version = connection.version;
    this.#channel = channel;
    this.#listener = listener;
    this.#acknowledgements = new Acknowledgements(
      (message, allUpTo) => this.#send(() => channel.ack(message, allUpTo)),
      () => this.#open.first?.tag,
      prefetch,
    );
    this.#stopReceiving = connection.receive(channel, this.#onMessage);
    onChannelClosed(connection, channel, (reason) => this.#onClosed(reason));
  }

  /** Resolves with the reason when the broker has ended the consumer or the channel, or when `close` was called. */
  get ended(): Promise<Error> {
    return this.#ended.promise;
  }

  /** Takes a delivery to its charge, to be settled through one of the verbs. */
  add(delivery: RabbitMqDelivery): void {
    this.#open.append(delivery);
  }

  ack(delivery: RabbitMqDelivery): void {
    if (this.#remove(delivery)) this.#acknowledgements.add(delivery.raw);
  }

  release(delivery: RabbitMqDelivery): void {
    if (this.#remove(delivery)) this.giveBack(delivery.raw);
  }

  fail(delivery: RabbitMqDelivery): void {
    if (this.#remove(delivery)) this.#send(() => this.#channel.reject(delivery.raw, true));
  }

  drop(delivery: RabbitMqDelivery): void {
    if (this.#remove(delivery)) this.#send(() => this.#channel.reject(delivery.raw, false));
  }

  /** Returns a message to the queue; while the consumer is being cancelled, at the end of that. */
  giveBack(raw: ConsumeMessage): void {
    if (this.#returning !== undefined) this.#returning.push(raw);
    else this.#send(() => this.#channel.nack(raw, false, true));
  }

  /** No further deliveries; the open ones may still be settled. Always resolves, in time. */
  async cancel(): Promise<void> {
    if (this.#closed) return;
    this.#acknowledgements.flush();
    this.#cancelling ??= this.#cancelWithin(this.#countAndCancel());
    await this.#cancelling;
  }

  async #countAndCancel(): Promise<void> {
    const { consumerCount } = await this.#channel.checkQueue(this.queue);
    await this.#channel.cancel(this.#consumerTag);
    this.#consumersBefore = consumerCount;
  }

  /** Always resolves, in time. */
  async #cancelWithin(cancelled: Promise<unknown>): Promise<void> {
    this.#returning = [];
    await settledWithin(cancelled, CLOSE_LIMIT_MS);
    this.#returnInOrder();
  }

  /** A quorum queue delivers what came back in the order of its return. */
  #returnInOrder(): void {
    const returning = this.#returning ?? [];
    this.#returning = undefined;
    returning.sort((one, other) => one.fields.deliveryTag - other.fields.deliveryTag);
    for (const raw of returning) this.giveBack(raw);
  }

  /**
   * Waits until the broker has worked off what was settled. A quorum queue stores settlements a moment after it got
   * them, and what is not stored when the channel closes is undone: what was acknowledged comes again, what was given
   * back counts as a failure. Nothing answers a settlement, but the queue counts a cancelled consumer among its
   * consumers until all that it held is settled.
   */
  async #settled(): Promise<void> {
    const before = this.#consumersBefore;
    if (before === undefined) return;
    const until = performance.now() + SETTLE_LIMIT_MS;
    const fewerConsumers = async () => {
      while (!this.#isGone && performance.now() < until) {
        const { consumerCount } = await this.#channel.checkQueue(this.queue);
        if (consumerCount < before) return;
        await delay(SETTLE_POLL_MS);
      }
    };
    await settledWithin(fewerConsumers(), SETTLE_LIMIT_MS);
  }

  /** Gives back what is open, tells `onLost` of it, and closes the channel. Always resolves, in time. */
  async close(reason: Error, onLost: SubscribeOptions['onLost']): Promise<void> {
    if (this.#closed) return;
    this.#acknowledgements.flush();
    this.#returnInOrder();
    // All at once: a return that the broker had not come to when the channel closes would count as a failure.
    if (!this.#open.isEmpty) this.#send(() => this.#channel.nackAll(true));
    for (const delivery of this.#open.clear()) if (delivery.lose(reason)) onLost?.(delivery, reason);
    this.#closed = true;
    this.#ended.resolve(reason);
    await this.#settled();
    this.#stopReceiving();
    await closeChannel(this.#channel);
  }

  /** Resolves when no message is on its way to another queue any more, or after the time limit. */
  async allMoved(timeoutMs: number): Promise<void> {
    if (!this.#isMoving()) return;
    this.#allMoved = new Deferred();
    await settledWithin(this.#allMoved.promise, timeoutMs);
  }

  async #consume(): Promise<void> {
    await this.#channel.consume(this.queue, this.#onMessage, { consumerTag: this.#consumerTag });
  }

  readonly #onMessage = (raw: ConsumeMessage | null): void => {
    if (raw === null) this.#onCancelled();
    else if (!this.#closed) this.#listener.onMessage(raw, this);
  };

  /**
   * The broker ended the consumer: its queue is gone or moved, or a delivery took longer than the broker allows.
   * RabbitMQ 4.3 waits for the client's answer, which amqplib does not give: without it, the broker would go on
   * counting this consumer, hand it messages, and close the channel over the confusion.
   */
  #onCancelled(): void {
    const reason = new Error(
      `the broker cancelled the consumer of '${this.queue}': the queue was deleted or moved, or a message took longer than its consumer time-out`,
    );
    this.#cancelling ??= this.#cancelWithin(this.#channel.cancel(this.#consumerTag));
    void this.#cancelling.then(() => this.close(reason, this.#listener.onLost));
    this.#ended.resolve(reason);
  }

  #onClosed(reason: Error): void {
    this.#isGone = true;
    this.#stopReceiving();
    if (this.#closed) return;
    this.#closed = true;
    this.#acknowledgements.drop();
    for (const delivery of this.#open.clear())
      if (delivery.lose(reason)) this.#listener.onLost?.(delivery, reason);
    this.#allMoved?.resolve();
    this.#ended.resolve(reason);
  }

  /** False when the channel is gone: then the broker has given the message back already. */
  #remove(delivery: RabbitMqDelivery): boolean {
    const removed = this.#open.remove(delivery) && !this.#closed;
    if (removed && !this.#isMoving()) this.#allMoved?.resolve();
    return removed;
  }

  /** amqplib throws on a channel that is on its end; the broker then gives back what it does not hear of. */
  #send(settle: () => void): void {
    if (this.#closed) return;
    try {
      settle();
    } catch (error) {
      if (!(error instanceof IllegalOperationError)) throw error;
    }
  }

  #isMoving(): boolean {
    for (const delivery of this.#open) if (delivery.isMoving) return true;
    return false;
  }
}
