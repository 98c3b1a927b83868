import { randomUUID } from 'node:crypto';
import { type Channel, type ConsumeMessage, IllegalOperationError } from 'amqplib';
import type { SubscribeOptions } from '../broker.js';
import { Acknowledgements } from './acknowledgements.js';
import { type Connection, closeChannel, onChannelClosed } from './connection.js';
import type { DeliverySource, RabbitMqDelivery } from './delivery.js';
import type { ServerVersion } from './server-version.js';
import { CLOSE_LIMIT_MS, RPC_LIMIT_MS, within, withinOrNot } from './time-limit.js';

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
  /** Resolves with the reason when the broker has ended the consumer or the channel, or when `close` was called. */
  readonly ended: Promise<Error>;

  readonly #channel: Channel;
  readonly #listener: ConsumerChannelListener;
  /** Handed out and not settled, by delivery tag, in the order of their coming: the first is the lowest. */
  readonly #open = new Map<number, RabbitMqDelivery>();
  readonly #acknowledgements: Acknowledgements;
  #end!: (reason: Error) => void;
  #closed = false;
  /** Of our choice: a cancellation can come before the answer that would tell the broker's. */
  readonly #consumerTag = randomUUID();
  #cancelling: Promise<void> | undefined;
  #onAllMoved: (() => void) | undefined;

  /** Rejects with the broker's refusal. */
  static async open(
    connection: Connection,
    queue: string,
    prefetch: number,
    listener: ConsumerChannelListener,
  ): Promise<ConsumerChannel> {
    const channel = await connection.openChannel();
    const consumer = new ConsumerChannel(connection, channel, queue, listener);
    try {
      // Before the consumer: RabbitMQ applies it to the consumers that follow.
      await within(channel.prefetch(prefetch), 'setting the prefetch', { timeoutMs: RPC_LIMIT_MS });
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
    listener: ConsumerChannelListener,
  ) {
    this.queue = queue;
    this.version = connection.version;
    this.#channel = channel;
    this.#listener = listener;
    this.#acknowledgements = new Acknowledgements(
      (message, allUpTo) => this.#send(() => channel.ack(message, allUpTo)),
      () => this.#open.keys().next().value,
    );
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    onChannelClosed(connection, channel, (reason) => this.#onClosed(reason));
  }

  /** Takes a delivery to its charge, to be settled through one of the verbs. */
  add(delivery: RabbitMqDelivery): void {
    this.#open.set(delivery.tag, delivery);
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

  /** Returns a message to the queue. */
  giveBack(raw: ConsumeMessage): void {
    this.#send(() => this.#channel.nack(raw, false, true));
  }

  /** No further deliveries; the open ones may still be settled. Always resolves, in time. */
  async cancel(): Promise<void> {
    if (this.#closed) return;
    // First, so that the broker has worked them off when it answers: what it still holds back when the channel
    // closes, as a quorum queue does from the 33rd single one on, would be lost.
    this.#acknowledgements.flush();
    this.#cancelling ??= withinOrNot(this.#channel.cancel(this.#consumerTag), CLOSE_LIMIT_MS);
    await this.#cancelling;
  }

  /** Gives back what is open, tells `onLost` of it, and closes the channel. Always resolves, in time. */
  async close(reason: Error, onLost: SubscribeOptions['onLost']): Promise<void> {
    if (this.#closed) return;
    this.#acknowledgements.flush();
    // All at once: a return that the broker had not come to when the channel closes would count as a failure.
    if (this.#open.size > 0) this.#send(() => this.#channel.nackAll(true));
    for (const delivery of [...this.#open.values()]) {
      this.#open.delete(delivery.tag);
      if (delivery.lose(reason)) onLost?.(delivery, reason);
    }
    this.#closed = true;
    this.#end(reason);
    await closeChannel(this.#channel);
  }

  /** Resolves when no message is on its way to another queue any more, or after the time limit. */
  async allMoved(timeoutMs: number): Promise<void> {
    if (!this.#isMoving()) return;
    const moved = new Promise<void>((resolve) => {
      this.#onAllMoved = resolve;
    });
    await withinOrNot(moved, timeoutMs);
  }

  async #consume(): Promise<void> {
    const onMessage = (raw: ConsumeMessage | null) => {
      if (raw === null) this.#onCancelled();
      else if (!this.#closed) this.#listener.onMessage(raw, this);
    };
    await this.#channel.consume(this.queue, onMessage, { consumerTag: this.#consumerTag });
  }

  /**
   * The broker ended the consumer: its queue is gone or moved, or a delivery took longer than the broker allows.
   * RabbitMQ 4.3 waits for the client's answer, which amqplib does not give: without it, the broker would go on
   * counting this consumer, hand it messages, and close the channel over the confusion.
   */
  #onCancelled(): void {
    const reason = new Error(`the broker cancelled the consumer of '${this.queue}'`);
    void this.cancel().then(() => this.close(reason, this.#listener.onLost));
    this.#end(reason);
  }

  #onClosed(reason: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#acknowledgements.drop();
    const lost = [...this.#open.values()];
    this.#open.clear();
    for (const delivery of lost) if (delivery.lose(reason)) this.#listener.onLost?.(delivery, reason);
    this.#onAllMoved?.();
    this.#end(reason);
  }

  /** False when the channel is gone: then the broker has given the message back already. */
  #remove(delivery: RabbitMqDelivery): boolean {
    const removed = this.#open.delete(delivery.tag) && !this.#closed;
    if (removed && this.#onAllMoved !== undefined && !this.#isMoving()) this.#onAllMoved();
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
    for (const delivery of this.#open.values()) if (delivery.isMoving) return true;
    return false;
  }
}
