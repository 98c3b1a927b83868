import { IllegalOperationError } from 'amqplib';
import type { Destination, PublishOptions } from '../../broker.js';
import { errorText } from '../../common/options.js';
import { Deadlines, Deferred, settledWithin, throwIfAborted } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import type { Senders } from '../connection/keep-alive.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import type { WireMessage } from '../wire/amqp-message.js';
import type { PublishChannel } from '../wire/publish-channel.js';
import { type BoundedTarget, BoundedTargets, type BoundedTargetsSettings } from './bounded-target.js';
import { ConfirmWindow } from './confirm-window.js';
import { GivenUpPublishes } from './given-up-publishes.js';
import { keepChannelOpen } from './keep-channel-open.js';
import { PendingPublish, type PendingPublishListener, SendQueue } from './pending-publish.js';
import { UnconfirmedPublishes } from './unconfirmed-publishes.js';

export interface PublisherSettings extends Omit<BoundedTargetsSettings, 'wake'> {
  readonly link: ReconnectingConnection;
  readonly maxUnconfirmed: number;
  /** No queue or no exchange took a message. `isDropped`: it has an exchange, and it is no error that no queue took it. */
  readonly onUnroutable: (to: Destination, isDropped: boolean) => void;
  /** This many messages, whose channel was lost while they were unconfirmed, have just been sent again. */
  readonly onResend: (count: number) => void;
  /** Counts the callers whose messages are not settled. */
  readonly senders: Senders;
}

/**
 * Sends messages over one confirm channel, and knows the outcome of each.
 *
 *   no channel ──link connected──► opening ──► open ──► (blocked, drain, full window: open, and nothing is sent)
 *       ▲  ▲                          │          │
 *       │  └──────────────────────────┴──────────┤ link lost: the unconfirmed wait to be sent again
 *       │                                        │
 *       └── closed by the broker, because of one message: see UnconfirmedPublishes
 *
 * Messages are sent in the order of `publish`. Those to a queue whose room is limited wait apart (see BoundedTarget) and
 * hold up no others.
 */
export class Publisher {
  readonly #settings: PublisherSettings;
  readonly #window = new ConfirmWindow();
  readonly #waiting = new SendQueue();
  readonly #boundedTargets: BoundedTargets;
  readonly #unconfirmed = new UnconfirmedPublishes();
  readonly #givenUp: GivenUpPublishes;
  readonly #deadlines = new Deadlines((now) => this.#givenUp.expire(now));
  /** No further channel is opened. */
  readonly #closing = new AbortController();
  /** One for all messages. */
  readonly #listener: PendingPublishListener = {
    onAborted: (pending) => {
      pending.abort();
      this.#givenUp.forget(pending);
    },
    onSettled: () => {
      const { senders } = this.#settings;
      senders.waiting--;
      senders.onChange?.();
    },
    onUnroutable: ({ wire, mandatory, returned }) =>
      this.#settings.onUnroutable(wire, !mandatory && returned !== undefined),
  };

  #channel: PublishChannel | undefined;
  /** Whether a channel was opened, or the connection was lost: until then, sends that do not wait are kept as well. */
  #refusesNoWait = false;
  /** False while the socket is full, and while the channel is closing. */
  #channelTakesMessages = true;
  #isBlocked = false;
  #positions = 0;
  /** Messages sent again that `onResend` has not reported yet. */
  #resent = 0;
  #ended: QueueError | undefined;
  #onIdle: (() => void) | undefined;

  constructor(settings: PublisherSettings) {
    this.#settings = settings;
    this.#boundedTargets = new BoundedTargets({ ...settings, wake: () => this.#pump() });
    this.#givenUp = new GivenUpPublishes({
      waiting: this.#waiting,
      boundedTargets: this.#boundedTargets,
      window: this.#window,
      suspects: this.#unconfirmed.suspects,
      outage: () => settings.link.outage,
      onForgotten: () => this.#pump(),
    });
    settings.link.listen({
      onDisconnected: () => {
        this.#refusesNoWait = true;
        this.#givenUp.refuseNoWait();
      },
      onBlocked: () => {
        this.#isBlocked = true;
      },
      onUnblocked: () => {
        this.#isBlocked = false;
        this.#pump();
      },
      onEnded: (error) => this.#end(error),
    });
    keepChannelOpen(settings.link, this.#closing.signal, {
      onOpen: (channel) => this.#onOpen(channel),
      onLost: (reason, byServer) => this.#onChannelLost(reason, byServer),
      onReturn: (message) => this.#window.markReturned(message),
      onAnswer: (tag, multiple, isAccepted) => this.#onAnswer(tag, multiple, isAccepted),
      onFull: () => {
        this.#channelTakesMessages = false;
      },
      onDrain: () => {
        this.#channelTakesMessages = true;
        this.#pump();
      },
    });
  }

  /** Rejects as `Broker.publish` does. Not an async function: each additional promise slows a busy producer. */
  publish(wire: WireMessage, options: PublishOptions): Promise<boolean> {
    return new Promise((resolve, reject) => {
      throwIfAborted(options.signal, `message ${wire.id}`);
      if (this.#ended !== undefined) throw this.#ended;
      if (this.#channel === undefined) this.#settings.link.start();
      const pending = new PendingPublish(wire, this.#positions++, options, resolve, reject, this.#listener);
      this.#settings.senders.waiting++;
      this.#settings.senders.onChange?.();
      this.#begin(pending);
      if (!pending.settled) this.#deadlines.add(pending.deadline);
    });
  }

  /** Rejects waiting messages, and gives unconfirmed ones a moment to be confirmed. Always resolves, in time. */
  async close(graceMs: number): Promise<void> {
    const error = new QueueError('CLOSED', 'the broker was closed');
    this.#ended ??= error;
    this.#closing.abort();
    this.#givenUp.giveUpWaiting(error);
    const idle = new Deferred();
    this.#onIdle = idle.resolve;
    if (this.#window.size > 0) await settledWithin(idle.promise, graceMs);
    this.#end(error);
  }

  #begin(pending: PendingPublish): void {
    if (this.#unconfirmed.tooLarge !== undefined && this.#unconfirmed.refuseIfTooLarge(pending)) return;
    const target = this.#boundedTargets.of(pending);
    if (this.#waiting.isEmpty && this.#mayBeSent(pending)) {
      if (target === undefined || (target.waiting.isEmpty && target.maySend(pending))) {
        this.#send(pending, target);
        return;
      }
      // The queue's room is queried; without room the message is refused.
      if (pending.noWait && target.isAsking) {
        target.waiting.add(pending);
        return;
      }
    }
    if (pending.noWait && this.#refusesNoWait) pending.fail('FULL', 'there is currently no room');
    else if (target !== undefined && this.#waiting.isEmpty) target.waiting.add(pending);
    else this.#waiting.add(pending);
  }

  #onOpen(channel: PublishChannel): void {
    this.#channel = channel;
    this.#refusesNoWait = true;
    this.#channelTakesMessages = true;
    this.#pump();
  }

  #onAnswer(tag: number, multiple: boolean, accepted: boolean): void {
    this.#window.answer(tag, multiple, (pending) => {
      this.#unconfirmed.suspects.delete(pending);
      pending.boundedTarget?.onAnswered();
      if (accepted) {
        pending.boundedTarget?.onAccepted();
        pending.confirm();
      } else if (pending.onNack() === 'again') {
        if (this.#ended === undefined) this.#boundedTargets.onRefused(pending);
        else pending.giveUp('CLOSED', this.#ended.message);
      }
    });
    this.#pump();
    if (this.#window.size === 0) this.#onIdle?.();
  }

  #onChannelLost(reason: Error, byServer: boolean): void {
    this.#channel = undefined;
    const sent = this.#window.clear();
    this.#boundedTargets.onChannelLost();
    const again = this.#unconfirmed.toResend(sent, reason, byServer);
    if (this.#ended === undefined) this.#waiting.addAll(again);
    else for (const pending of again) pending.giveUp('CLOSED', this.#ended.message);
    // A message that was refused along with those may have waited.
    this.#givenUp.dropSettled();
    this.#onIdle?.();
  }

  /** Sends all messages that may be sent. */
  #pump(): void {
    this.#sendWaiting();
    const resent = this.#resent;
    this.#resent = 0;
    if (resent > 0) this.#settings.onResend(resent);
  }

  #sendWaiting(): void {
    if (!this.#boundedTargets.isEmpty) {
      for (const target of this.#boundedTargets) this.#sendFrom(target);
      this.#boundedTargets.dropFinished();
    }
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      const target = this.#boundedTargets.of(next);
      if (target === undefined && !this.#mayBeSent(next)) return;
      this.#waiting.remove(next);
      if (target === undefined) {
        this.#send(next, undefined);
      } else {
        target.waiting.add(next);
        this.#sendFrom(target);
      }
    }
  }

  #sendFrom(target: BoundedTarget): void {
    for (let next = target.waiting.first; next !== undefined; next = target.waiting.first) {
      if (!this.#mayBeSent(next) || !target.maySend(next)) return;
      target.waiting.remove(next);
      this.#send(next, target);
    }
  }

  #mayBeSent(pending: PendingPublish): boolean {
    const maxMessages = this.#unconfirmed.suspects.size > 0 ? 1 : this.#settings.maxUnconfirmed;
    return (
      this.#channel !== undefined &&
      this.#channelTakesMessages &&
      !this.#isBlocked &&
      this.#window.hasRoomFor(pending, maxMessages)
    );
  }

  #send(pending: PendingPublish, target: BoundedTarget | undefined): void {
    try {
      this.#channel?.publish(pending.wire, pending.options);
    } catch (error) {
      this.#onUnsendable(pending, error);
      return;
    }
    if (pending.interrupted) this.#resent++;
    pending.interrupted = false;
    pending.boundedTarget = target;
    target?.onSent();
    this.#window.add(pending);
  }

  /** Messages are encoded before they are written, so no part of this one was sent. */
  #onUnsendable(pending: PendingPublish, error: unknown): void {
    if (error instanceof IllegalOperationError) {
      // The channel is closing, and its 'close' event follows.
      this.#channelTakesMessages = false;
      this.#waiting.add(pending);
      return;
    }
    this.#unconfirmed.suspects.delete(pending);
    pending.giveUp('INVALID_MESSAGE', `its properties can't be encoded (${errorText(error)})`, error);
  }

  #end(error: QueueError): void {
    this.#ended ??= error;
    this.#closing.abort();
    this.#deadlines.stop();
    this.#givenUp.giveUpAll(error);
    this.#boundedTargets.stop();
    this.#onIdle?.();
  }
}
