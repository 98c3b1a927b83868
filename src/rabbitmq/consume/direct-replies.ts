import { randomUUID } from 'node:crypto';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { Replies, ReplyListener } from '../../broker.js';
import { RPC_LIMIT_MS, within } from '../../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../../errors.js';
import { queueError } from '../connection/broker-errors.js';
import { type Connection, closeChannel, onChannelClosed } from '../connection/connection.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { onConnection } from '../connection/request.js';
import { fromWire, type ReceivedMessage } from '../wire/amqp-message.js';
import { fromAmqplib } from '../wire/amqplib-message.js';

/** RabbitMQ's pseudo-queue for replies: https://www.rabbitmq.com/docs/direct-reply-to */
const DIRECT_REPLY_TO = 'amq.rabbitmq.reply-to';

const WHAT = 'opening the way for replies';

/**
 * Replies by direct reply-to: no queue to declare or to leave behind. They arrive on the publishing connection, since the
 * broker requires requests to be published on the channel that consumes the replies.
 *
 *   idle ──address()──► opening ──► open ──channel or link lost──► idle
 *     ▲                    │
 *     └──────(failed)──────┘              close(), from anywhere ──► closed
 */
export class DirectReplies implements Replies {
  readonly #link: ReconnectingConnection;
  readonly #listener: ReplyListener;
  readonly #closed = new AbortController();
  #opening: Promise<string> | undefined;
  #channel: Channel | undefined;

  constructor(link: ReconnectingConnection, listener: ReplyListener) {
    this.#link = link;
    this.#listener = listener;
  }

  async replyTo(): Promise<string> {
    if (this.#closed.signal.aborted) throw new QueueError('CLOSED', 'the replies were closed');
    this.#opening ??= this.#open();
    const opening = this.#opening;
    try {
      return await opening;
    } catch (error) {
      if (this.#opening === opening) this.#opening = undefined;
      throw queueError(error, WHAT, DIRECT_REPLY_TO);
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    if (this.#channel !== undefined) await closeChannel(this.#channel);
  }

  async #open(): Promise<string> {
    this.#link.start();
    const wait = { signal: this.#closed.signal };
    return onConnection(this.#link, WHAT, wait, (connection) => this.#openUnblocked(connection));
  }

  /** A broker that blocks publishers answers nothing on their connection, so that time does not count. */
  async #openUnblocked(connection: Connection): Promise<string> {
    while (true) {
      await this.#link.unblocked(this.#closed.signal);
      const begin = performance.now();
      try {
        return await this.#openOn(connection);
      } catch (error) {
        if (!isQueueError(error, 'TIMEOUT') || !this.#link.wasBlockedSince(begin)) throw error;
      }
    }
  }

  async #openOn(connection: Connection): Promise<string> {
    const channel = await connection.openChannel();
    let stopReceiving = () => {};
    const lost = new Promise<never>((_, reject) => {
      onChannelClosed(connection, channel, (reason) => {
        stopReceiving();
        reject(reason);
        this.#onLost(channel, reason);
      });
    });
    lost.catch(() => {});
    try {
      const onReply = (received: ReceivedMessage) => this.#listener.onReply(fromWire(received));
      stopReceiving = connection.receive(channel, onReply);
      const onMessage = (raw: ConsumeMessage | null) => {
        // A cancellation by the broker is an end like any other.
        if (raw === null) void closeChannel(channel);
        else onReply(fromAmqplib(raw));
      };
      const consuming = channel.consume(DIRECT_REPLY_TO, onMessage, { noAck: true });
      await within(consuming, WHAT, { timeoutMs: RPC_LIMIT_MS });
      const address = await within(Promise.race([ownAddress(channel), lost]), WHAT, {
        timeoutMs: RPC_LIMIT_MS,
      });
      this.#channel = channel;
      if (this.#closed.signal.aborted) throw new QueueError('CLOSED', 'the replies were closed');
      return address;
    } catch (error) {
      void closeChannel(channel);
      throw error;
    }
  }

  #onLost(channel: Channel, reason: Error): void {
    if (channel !== this.#channel) return;
    this.#channel = undefined;
    this.#opening = undefined;
    if (!this.#closed.signal.aborted) this.#listener.onLost(reason);
  }
}

/**
 * The address at which this channel's replies arrive. The broker writes it into messages that are published here with the
 * pseudo-queue as their `replyTo`, and returns them if they are mandatory and unroutable. Knowing the address, requests
 * can be published like all other messages, confirmed and in order, instead of on this channel.
 */
function ownAddress(channel: Channel): Promise<string> {
  return new Promise((resolve) => {
    channel.once('return', ({ properties }) => resolve(String(properties.replyTo)));
    channel.publish('', `millrace.nobody.${randomUUID()}`, Buffer.alloc(0), {
      mandatory: true,
      replyTo: DIRECT_REPLY_TO,
    });
  });
}
