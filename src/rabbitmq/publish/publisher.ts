import { type ConfirmChannel, IllegalOperationError, type Message } from 'amqplib';
import type { Destination, PublishOptions } from '../../broker.js';
import { Deadlines, Deferred, pause, throwIfAborted } from '../../common/limits.js';
import { QueueError } from '../../errors.js';
import { type Connection, onChannelClosed } from '../connection/connection.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import type { WireMessage } from '../wire/amqp-message.js';
import { PublishChannel } from '../wire/publish-channel.js';
import type { BoundedTarget } from './bounded-target.js';
import { BoundedTargets, type LanesSettings } from './bounded-targets.js';
import { ConfirmWindow } from './confirm-window.js';
import { type OutgoingListener, PendingPublish } from './pending-publish.js';
import { blame } from './refusal.js';
import { SendQueue } from './send-queue.js';

/** Before another try to open a channel, on a connection that is still there. */
const REOPEN_AFTER_MS = 500;

/** Rounds of refusals after which it is looked whether the queue is full at all. */
const REFUSALS_TO_DOUBT = 4;

export interface PublisherSettings extends Omit<LanesSettings, 'wake'> {
  readonly link: ReconnectingConnection;
  readonly maxUnconfirmed: number;
  /** There was no queue, or no exchange, where a message was to go. */
  readonly onUnroutable: (to: Destination) => void;
  /** Unconfirmed messages are about to be sent again. */
  readonly onResend: (count: number) => void;
  /** Called for each message: when somebody begins to wait for it, and when its wait is over. */
  readonly onBegun?: (() => void) | undefined;
  readonly onSettled?: (() => void) | undefined;
}

/**
 * Sends messages over one confirm channel, and knows of each what became of it.
 *
 *   no channel ──link connected──► opening ──► open ──► (blocked, drain, full window: open, and nothing is sent)
 *       ▲  ▲                          │          │
 *       │  └──────────────────────────┴──────────┤ link lost: the unconfirmed wait to be sent again
 *       │                                        │
 *       └── closed by the broker, because of one message: that one is rejected, the others are sent again
 *
 * Messages go out in the order in which they came. Those to a queue whose room is limited wait apart (see BoundedTarget)
 * and hold up nobody else.
 */
export class Publisher {
  readonly #settings: PublisherSettings;
  readonly #window = new ConfirmWindow();
  readonly #waiting = new SendQueue();
  readonly #lanes: BoundedTargets;
  /** One of these made the broker close the channel: they go singly, until the next closing tells which. */
  readonly #suspects = new Set<PendingPublish>();
  readonly #deadlines = new Deadlines((now) => this.#expire(now));
  readonly #stopped = new AbortController();
  /** One for all messages. */
  readonly #listener: OutgoingListener = {
    onAborted: (outgoing) => {
      outgoing.abort();
      this.#forget(outgoing);
    },
    onSettled: () => this.#settings.onSettled?.(),
    onUnroutable: ({ wire }) => this.#settings.onUnroutable(wire),
  };

  #channel: PublishChannel | undefined;
  #everOpen = false;
  #socketIsFull = false;
  #positions = 0;
  #ended: QueueError | undefined;
  #onIdle: (() => void) | undefined;

  constructor(settings: PublisherSettings) {
    this.#settings = settings;
    this.#lanes = new BoundedTargets({ ...settings, wake: () => this.#pump() });
    settings.link.listen({
      onConnected: (connection) => void this.#open(connection),
      onDisconnected: () => this.#refuseThoseWhoDoNotWait(),
      onUnblocked: () => this.#pump(),
      onEnded: (error) => this.#end(error),
    });
    const { connection } = settings.link;
    if (connection !== undefined) void this.#open(connection);
  }

  /** Rejects as `Broker.publish` does. Not an async function: each promise less is felt by a busy producer. */
  publish(wire: WireMessage, options: PublishOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      throwIfAborted(options.signal, `message ${wire.id}`);
      if (this.#ended !== undefined) throw this.#ended;
      this.#settings.link.start();
      const outgoing = new PendingPublish(wire, this.#positions++, options, resolve, reject, this.#listener);
      this.#settings.onBegun?.();
      this.#begin(outgoing);
      if (!outgoing.settled) this.#deadlines.add(outgoing.deadline);
    });
  }

  /**
   * Rejects what waits, and gives what is unconfirmed a moment to be confirmed. Always resolves, in time.
   */
  async close(graceMs: number): Promise<void> {
    const error = new QueueError('CLOSED', 'the broker was closed');
    this.#ended ??= error;
    for (const outgoing of this.#allWaiting()) outgoing.giveUp('CLOSED', error.message);
    this.#dropSettled();
    if (this.#window.size > 0) {
      const idle = new Deferred();
      this.#onIdle = idle.resolve;
      await Promise.race([idle.promise, pause(graceMs, this.#stopped.signal)]);
    }
    this.#end(error);
  }

  #begin(outgoing: PendingPublish): void {
    const lane = this.#lanes.of(outgoing);
    if (this.#waiting.isEmpty && this.#mayBeSent(outgoing)) {
      // Whether a queue has room is for the broker to say where nobody waits for the answer.
      if (lane === undefined || (lane.waiting.isEmpty && (outgoing.noWait || lane.mayGoOn()))) {
        this.#send(outgoing, lane);
        return;
      }
    }
    if (outgoing.noWait && this.#everOpen) {
      outgoing.fail('FULL', 'there is no room at present');
    } else if (lane !== undefined && this.#waiting.isEmpty) {
      lane.waiting.add(outgoing);
    } else {
      this.#waiting.add(outgoing);
    }
  }

  async #open(connection: Connection): Promise<void> {
    while (connection.isOpen && this.#ended === undefined) {
      try {
        const channel = await connection.openConfirmChannel();
        return this.#onOpen(connection, channel);
      } catch {
        // The connection is on its end, or has no channel left at present.
        await pause(REOPEN_AFTER_MS, this.#stopped.signal);
      }
    }
  }

  #onOpen(connection: Connection, channel: ConfirmChannel): void {
    const publishing = new PublishChannel(channel, {
      onFull: () => {
        this.#socketIsFull = true;
      },
      onDrain: () => {
        this.#socketIsFull = false;
        this.#pump();
      },
    });
    this.#channel = publishing;
    this.#everOpen = true;
    this.#socketIsFull = false;
    channel.on('ack', ({ deliveryTag, multiple }) => this.#onAnswer(deliveryTag, multiple, true));
    channel.on('nack', ({ deliveryTag, multiple }) => this.#onAnswer(deliveryTag, multiple, false));
    channel.on('return', (message) => this.#onReturn(message));
    onChannelClosed(connection, channel, (reason, byServer) => {
      if (this.#channel !== publishing) return;
      this.#channel = undefined;
      this.#onChannelLost(byServer ? reason : undefined);
      if (connection.isOpen) void this.#open(connection);
    });
    const again = this.#allWaiting().filter((outgoing) => outgoing.uncertain).length;
    if (again > 0) this.#settings.onResend(again);
    this.#pump();
  }

  #onReturn({ properties, fields }: Message): void {
    const outgoing = this.#window.findReturned(properties.messageId, fields);
    // amqplib's types leave out the fields that say why.
    const { replyText = 'returned' } = fields as { replyText?: string };
    if (outgoing !== undefined) outgoing.returned = replyText;
  }

  #onAnswer(tag: number, multiple: boolean, accepted: boolean): void {
    this.#window.answer(tag, multiple, (outgoing) => {
      if (this.#suspects.size > 0) this.#suspects.delete(outgoing);
      outgoing.lane?.onAnswered();
      if (accepted) {
        outgoing.lane?.onAccepted();
        outgoing.confirm();
      } else if (!outgoing.settled) {
        this.#onRefused(outgoing);
      }
    });
    this.#pump();
    if (this.#window.size === 0) this.#onIdle?.();
  }

  #onRefused(outgoing: PendingPublish): void {
    // Behind an exchange there may be several queues, and the others have taken it.
    if (outgoing.wire.exchange !== '') outgoing.uncertain = true;
    if (outgoing.noWait) outgoing.giveUp('FULL', 'the queue is full');
    else if (this.#ended !== undefined) outgoing.giveUp('CLOSED', this.#ended.message);
    else this.#waitForRoom(outgoing);
  }

  #waitForRoom(outgoing: PendingPublish): void {
    const { exchange, routingKey } = outgoing.wire;
    const lane = this.#lanes.ofRefused(outgoing);
    lane.onRefused(outgoing);
    if (exchange === '' && lane.refusals >= REFUSALS_TO_DOUBT) void this.#doubt(outgoing, lane, routingKey);
  }

  /**
   * A negative confirm has no reason, and what a queue's limits are can't be asked: they may come from a policy.
   * But a queue without any message is not full. Then it is the message (over the limit in bytes) or the broker,
   * and waiting for room would be waiting in vain.
   */
  async #doubt(outgoing: PendingPublish, lane: BoundedTarget, queue: string): Promise<void> {
    const ready = await this.#settings.readyIn(queue).catch(() => undefined);
    if (ready !== 0 || !lane.waiting.remove(outgoing)) return;
    outgoing.giveUp(
      'REFUSED',
      'the broker refused it again and again, though the queue is empty: the message is over the limit of the queue in bytes, or the broker failed',
    );
    this.#pump();
  }

  #onChannelLost(refusal: Error | undefined): void {
    const sent = this.#window.clear();
    for (const lane of this.#lanes) lane.onChannelLost();
    if (refusal !== undefined) {
      for (const suspect of blame(sent, refusal)) this.#suspects.add(suspect);
    }
    const again = sent.filter((outgoing) => !outgoing.settled);
    for (const outgoing of again) {
      outgoing.uncertain = true;
      outgoing.lane = undefined;
      outgoing.returned = undefined;
    }
    if (this.#ended !== undefined) {
      for (const outgoing of again) outgoing.giveUp('CLOSED', this.#ended.message);
    } else {
      this.#waiting.addAll(again.sort((a, b) => a.position - b.position));
    }
    this.#onIdle?.();
  }

  /** Sends what may be sent. */
  #pump(): void {
    if (!this.#lanes.isEmpty) {
      for (const lane of this.#lanes) this.#sendFrom(lane);
      this.#lanes.dropFinished();
    }
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      const lane = this.#lanes.of(next);
      if (lane === undefined && !this.#mayBeSent(next)) return;
      this.#waiting.remove(next);
      if (lane === undefined) {
        this.#send(next, undefined);
      } else {
        lane.waiting.add(next);
        this.#sendFrom(lane);
      }
    }
  }

  #sendFrom(lane: BoundedTarget): void {
    for (let next = lane.waiting.first; next !== undefined; next = lane.waiting.first) {
      if (!this.#mayBeSent(next) || !(next.noWait || lane.mayGoOn())) return;
      lane.waiting.remove(next);
      this.#send(next, lane);
    }
  }

  #mayBeSent(outgoing: PendingPublish): boolean {
    const maxMessages = this.#suspects.size > 0 ? 1 : this.#settings.maxUnconfirmed;
    return (
      this.#channel !== undefined &&
      !this.#socketIsFull &&
      !this.#settings.link.blocked &&
      this.#window.hasRoomFor(outgoing, maxMessages)
    );
  }

  #send(outgoing: PendingPublish, lane: BoundedTarget | undefined): void {
    try {
      this.#channel?.publish(outgoing.wire, outgoing.options);
    } catch (error) {
      this.#onUnsendable(outgoing, error);
      return;
    }
    outgoing.lane = lane;
    lane?.onSent();
    this.#window.add(outgoing);
  }

  /** It is encoded before it is written: nothing of the message has left. */
  #onUnsendable(outgoing: PendingPublish, error: unknown): void {
    if (error instanceof IllegalOperationError) {
      // The channel is on its end, and will say so.
      this.#socketIsFull = true;
      this.#waiting.add(outgoing);
      return;
    }
    this.#suspects.delete(outgoing);
    const why = error instanceof Error ? error.message : String(error);
    outgoing.giveUp('INVALID_MESSAGE', `its properties can't be encoded (${why})`, error);
  }

  /** The link is gone: those who were promised not to wait don't. */
  #refuseThoseWhoDoNotWait(): void {
    this.#everOpen = true;
    for (const outgoing of this.#allWaiting()) {
      if (!outgoing.noWait || outgoing.uncertain) continue;
      outgoing.fail('FULL', 'there is no connection to the broker at present');
      this.#forget(outgoing);
    }
  }

  /** Gives up those whose time is over, and says when to look again. */
  #expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const outgoing of [...this.#allWaiting(), ...this.#window.all()]) {
      if (outgoing.settled) continue;
      if (outgoing.deadline <= now) outgoing.expire();
      else next = Math.min(next, outgoing.deadline);
    }
    this.#dropSettled();
    return next;
  }

  #allWaiting(): PendingPublish[] {
    return [...this.#waiting, ...this.#lanes.waiting];
  }

  #dropSettled(): void {
    for (const outgoing of this.#allWaiting()) if (outgoing.settled) this.#forget(outgoing);
  }

  /** A settled message that waits leaves its line; one that is on the wire stays until the broker has answered. */
  #forget(outgoing: PendingPublish): void {
    this.#suspects.delete(outgoing);
    if (!this.#waiting.remove(outgoing)) this.#lanes.remove(outgoing);
    // It may have been the one that held the line up.
    this.#pump();
  }

  #end(error: QueueError): void {
    this.#ended ??= error;
    this.#stopped.abort();
    this.#deadlines.stop();
    const left = [...this.#allWaiting(), ...this.#window.all()];
    for (const outgoing of left) outgoing.giveUp('CLOSED', error.message, error.cause);
    this.#dropSettled();
    this.#lanes.stop();
    this.#onIdle?.();
  }
}
