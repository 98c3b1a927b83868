import { randomUUID } from 'node:crypto';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { SubscribeOptions } from '../../broker.js';
import {
  CLOSE_LIMIT_MS,
  Deferred,
  RPC_LIMIT_MS,
  settledWithin,
  within,
} from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import { type Connection, closeChannel, onChannelClosed } from '../connection/connection.js';
import { onOwnChannel } from '../connection/request.js';
import type { ServerVersion } from '../connection/server-version.js';
import { delaysArgument } from '../topology/named-retry-delays.js';
import type { ReceivedMessage } from '../wire/amqp-message.js';
import { fromAmqplib } from '../wire/amqplib-message.js';
import { ConsumedQueue } from './consumed-queue.js';
import type { ConsumerSettings } from './consumer-settings.js';
import { type BrokerSettlement, Settlements, type UnsettledDelivery, writerOn } from './settlements.js';

/** With more unsettled deliveries than twice the prefetch plus this, the broker is ignoring the prefetch. */
const EXCESS_DELIVERIES = 100;

/** The most that a quorum queue sends to one consumer, regardless of its prefetch. */
const QUORUM_MAX_PREFETCH = 2_000;

interface ConsumerChannelListener {
  /** Must not throw. */
  onMessage(received: ReceivedMessage, unsettled: UnsettledDelivery, source: ConsumerChannel): void;
  /** As in `SubscribeOptions`. */
  readonly onLost: SubscribeOptions['onLost'];
}

type Lose = (deliveries: readonly UnsettledDelivery[]) => void;

/**
 * One consumer on one channel, until either ends. All settlements go through here, so that none can reach another channel,
 * where the same delivery tag means another message.
 *
 *   open ──start()──► consuming ──cancel()──► held: nothing is settled ──basic.cancel-ok──► cancelled: acks, then returns
 *     │                   │                     │ (single active consumer: until close)           │
 *     └── close(), channel lost, ended by the broker, from anywhere ────────────────────────────┴──► closed
 */
export class ConsumerChannel {
  readonly queue: string;
  readonly version: ServerVersion;
  readonly settleWithinMs: number | undefined;
  readonly countsReturns: boolean;
  readonly exactDelaysMs: readonly number[];
  /** Resolves with the reason when the broker has ended the consumer or the channel, or when `close` was called. */
  readonly ended: Promise<Error>;

  readonly #channel: Channel;
  /** On another channel. */
  readonly #checkQueue: (queue: string) => Promise<{ readonly consumerCount: number }>;
  readonly #settings: ConsumerSettings;
  readonly #listener: ConsumerChannelListener;
  readonly #settlements: Settlements;
  readonly #counts: ConsumedQueue;
  readonly #end = new Deferred<Error>();
  /** Chosen here: the broker may cancel the consumer before it has responded with its own tag. */
  readonly #consumerTag = randomUUID();
  /** Whether the broker was asked to consume: from then on there may be deliveries. */
  #hasConsumed = false;
  /** Set by the first of `cancel` and `close`. */
  #isEnding = false;
  #cancelling: Promise<void> | undefined;
  #cancelledByBroker: Error | undefined;
  #closing: Promise<void> | undefined;
  /** Whether deliveries and settlements have ended. */
  #closed = false;
  /** Whether a delivery was settled in any way. */
  #hasSettled = false;
  #onAllMoved: (() => void) | undefined;
  readonly #stopReceiving: () => void;

  /** Opens a channel. Its consumer begins with {@link start}, so that its owner can end it before that. */
  static async open(
    connection: Connection,
    queue: string,
    settings: ConsumerSettings,
    listener: ConsumerChannelListener,
  ): Promise<ConsumerChannel> {
    return new ConsumerChannel(connection, await connection.openChannel(), queue, settings, listener);
  }

  private constructor(
    connection: Connection,
    channel: Channel,
    queue: string,
    settings: ConsumerSettings,
    listener: ConsumerChannelListener,
  ) {
    this.queue = queue;
    this.settleWithinMs = settings.settleWithinMs;
    this.countsReturns = settings.countsReturns;
    this.exactDelaysMs = settings.exactDelaysMs;
    this.version = connection.version;
    this.ended = this.#end.promise;
    this.#channel = channel;
    this.#checkQueue = (name) => onOwnChannel(connection, (other) => other.checkQueue(name));
    this.#settings = settings;
    this.#listener = listener;
    this.#counts = new ConsumedQueue(channel, queue);
    this.#settlements = new Settlements(writerOn(channel), settings.prefetch);
    this.#stopReceiving = connection.receive(channel, this.#onMessage);
    onChannelClosed(connection, channel, (reason) => this.#onClosed(reason));
  }

  /**
   * Subscribes. Rejects with the broker's refusal, and with `CLOSED` if `cancel` or `close` came first: then no message
   * leaves its queue, where its return would show.
   */
  async start(): Promise<void> {
    const what = `subscribing to '${this.queue}'`;
    const wait = { timeoutMs: RPC_LIMIT_MS };
    try {
      // Before the consumer: RabbitMQ applies it to the consumers that follow.
      await within(this.#channel.prefetch(this.#settings.prefetch), 'setting the prefetch', wait);
      if (this.#isEnding) throw new QueueError('CLOSED', `${what}: the subscription was closed`);
      this.#hasConsumed = true;
      await within(this.#consume(), what, wait);
    } catch (error) {
      void this.close(error instanceof Error ? error : new Error(String(error)), this.#listener.onLost);
      throw error;
    }
  }

  /** Whether a delivery was settled: messages get through here. */
  get hasSettled(): boolean {
    return this.#hasSettled;
  }

  /** Does nothing if the delivery was settled before, or its channel is gone: then the broker has taken it back. */
  settle(unsettled: UnsettledDelivery, settlement: BrokerSettlement): void {
    if (this.#closed || !this.#settlements.settle(unsettled, settlement)) return;
    this.#hasSettled = true;
    if (this.#onAllMoved !== undefined && !this.#settlements.isMoving) this.#onAllMoved();
  }

  /**
   * No further deliveries; the open ones may still be settled. Always resolves, in time.
   *
   * Settlements are held until the consumer is cancelled: each would make the broker send another message, and a quorum
   * queue takes back a message that reaches a cancelled consumer, and delivers it before those returned later.
   */
  async cancel(): Promise<void> {
    this.#isEnding = true;
    if (this.#closed || !this.#hasConsumed) return;
    this.#settlements.hold();
    // The next consumer becomes active at once, so this one stays active until all its handlers have ended.
    if (this.#settings.isSingleActive) return;
    this.#cancelling ??= this.#cancel(this.#cancelWhenQuiet());
    await this.#cancelling;
  }

  /** Returns unsettled deliveries, reports them to `onLost`, and closes the channel. Always resolves, in time. */
  close(reason: Error, onLost: SubscribeOptions['onLost']): Promise<void> {
    this.#closing ??= this.#close(reason, onLost);
    return this.#closing;
  }

  async #close(reason: Error, onLost: SubscribeOptions['onLost']): Promise<void> {
    this.#isEnding = true;
    const lose: Lose = (deliveries) => {
      for (const { holder } of deliveries) if (holder?.lose(reason)) onLost?.(holder, reason);
    };
    const { isSingleActive } = this.#settings;
    const endsWithChannel = isSingleActive && this.#hasConsumed && !(await this.#handedOver(lose));
    if (this.#cancelling !== undefined && this.#settlements.size > 0) await this.#counts.recount();
    if (this.#closed) return;
    // All at once: a return that the broker has not processed when the channel closes would count as a failure.
    lose(endsWithChannel ? this.#settlements.clear() : this.#settlements.returnAll());
    this.#closed = true;
    this.#end.resolve(reason);
    if (this.#cancelling !== undefined) await this.#counts.untilSettled();
    this.#stopReceiving();
    await closeChannel(this.#channel);
    if (endsWithChannel) await this.#counts.untilForgotten(this.#checkQueue);
  }

  /**
   * Ends the turn of a single active consumer. With nothing left but acknowledgements it is cancelled, and then they
   * are written. Otherwise false: the rest can return before the next consumer's first delivery only together with the
   * channel, at the cost of a failure in the broker's count. `lose` gives up what could still be settled: what is written
   * after the last wait would not be processed before the channel closes.
   */
  async #handedOver(lose: Lose): Promise<boolean> {
    this.#settlements.hold();
    await settledWithin(this.#quiet(), CLOSE_LIMIT_MS);
    if (this.#settlements.onlyAcks) {
      this.#cancelling ??= this.#cancel(this.#cancelNow());
      await this.#cancelling;
      return true;
    }
    lose(this.#settlements.undecided.filter(({ holder }) => holder?.isMoving !== true));
    await this.allMoved(CLOSE_LIMIT_MS);
    this.#settlements.writeAllButReturns();
    lose(this.#settlements.undecided);
    await settledWithin(this.#quiet(), CLOSE_LIMIT_MS);
    return false;
  }

  /** Resolves when no message is being moved to another queue any more, or after the time limit. */
  async allMoved(timeoutMs: number): Promise<void> {
    if (!this.#settlements.isMoving) return;
    const moved = new Deferred();
    this.#onAllMoved = moved.resolve;
    await settledWithin(moved.promise, timeoutMs);
  }

  async #consume(): Promise<void> {
    const onMessage = (raw: ConsumeMessage | null) => {
      if (raw === null) this.#onCancelled();
      else this.#onMessage(fromAmqplib(raw));
    };
    const { priority } = this.#settings;
    await this.#channel.consume(this.queue, onMessage, {
      consumerTag: this.#consumerTag,
      arguments: delaysArgument(this.exactDelaysMs),
      ...(priority === undefined ? {} : { priority }),
    });
  }

  async #cancelWhenQuiet(): Promise<void> {
    await this.#quiet();
    await this.#cancelNow();
  }

  async #cancelNow(): Promise<void> {
    await this.#channel.cancel(this.#consumerTag);
  }

  /** Always resolves, in time. */
  async #cancel(cancelled: Promise<unknown>): Promise<void> {
    this.#settlements.hold();
    await settledWithin(cancelled, CLOSE_LIMIT_MS);
    if (!this.#closed) this.#settlements.resume();
  }

  /** While settlements are held: resolves when no delivery can be in transit. */
  #quiet(): Promise<void> {
    const most = Math.min(this.#settings.prefetch, QUORUM_MAX_PREFETCH);
    return this.#counts.untilQuiet(() => this.#settlements.size >= most || !this.#settlements.hasReceived);
  }

  readonly #onMessage = (received: ReceivedMessage): void => {
    if (this.#closed) return;
    const { deliveryTag } = received.fields;
    const unsettled = this.#settlements.receive(deliveryTag);
    const { prefetch } = this.#settings;
    if (unsettled === undefined) {
      // Any further settlement could settle another message.
      this.#giveUp(`the broker sent the delivery tag ${deliveryTag}, which is out of order or above 2^53`);
    } else if (this.#settlements.size > 2 * prefetch + EXCESS_DELIVERIES) {
      // Nothing but the prefetch bounds the memory that deliveries take.
      this.#giveUp(
        `the broker sent ${this.#settlements.size} messages at once, for a prefetch of ${prefetch}`,
      );
    } else {
      this.#listener.onMessage(received, unsettled, this);
    }
  };

  /** Called when the broker violates the protocol. */
  #giveUp(why: string): void {
    const reason = new Error(why);
    this.#end.resolve(reason);
    void closeChannel(this.#channel);
    this.#onClosed(reason);
  }

  /**
   * The broker ended the consumer: its queue is gone or moved, or a delivery took longer than the broker allows.
   * RabbitMQ 4.3 waits for the client's response, which amqplib does not send: without it, the broker would keep
   * counting this consumer, deliver messages to it, and then close the channel with an error.
   */
  #onCancelled(): void {
    const reason = new Error(
      `the broker cancelled the consumer of '${this.queue}': the queue was deleted or moved, or a message took longer than its consumer time-out`,
    );
    this.#cancelledByBroker = reason;
    this.#cancelling ??= this.#cancel(this.#cancelNow());
    // It ends only then: the next consumer may get the same messages, after these were reported as lost.
    void this.#cancelling.then(() => this.close(reason, this.#listener.onLost));
  }

  #onClosed(error: Error): void {
    const reason = this.#cancelledByBroker ?? error;
    this.#counts.stop();
    this.#stopReceiving();
    if (this.#closed) return;
    this.#closed = true;
    for (const { holder } of this.#settlements.clear())
      if (holder?.lose(reason)) this.#listener.onLost?.(holder, reason);
    this.#onAllMoved?.();
    this.#end.resolve(reason);
  }
}
