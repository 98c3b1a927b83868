import type { Destination, Message, PublishOptions } from '../../broker.js';
import { checkMessage, copyUnsent, refuseDelay } from '../../common/message/create-and-check.js';
import { limitsLeft } from '../../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { DeclaredQueues } from '../topology/declared-queues.js';
import type { DelayedSendLadder } from '../topology/delayed-send-ladder.js';
import type { Exchanges } from '../topology/exchanges.js';
import { toWire, type WireMessage } from '../wire/amqp-message.js';
import type { Publisher } from './publisher.js';

interface PreparedPublisherParts {
  readonly publisher: Publisher;
  readonly queues: DeclaredQueues;
  readonly exchanges: Exchanges;
  readonly delays: DelayedSendLadder;
  /** An exchange turned out not to exist. */
  readonly onMissing: (exchange: string) => void;
}

/** Publishes messages that need something on the broker first: a delay queue, or an exchange that was not seen yet. */
export class PreparedPublisher {
  readonly #publisher: Publisher;
  readonly #queues: DeclaredQueues;
  readonly #exchanges: Exchanges;
  readonly #delays: DelayedSendLadder;
  readonly #onMissing: (exchange: string) => void;

  constructor({ publisher, queues, exchanges, delays, onMissing }: PreparedPublisherParts) {
    this.#publisher = publisher;
    this.#queues = queues;
    this.#exchanges = exchanges;
    this.#delays = delays;
    this.#onMissing = onMissing;
  }

  /**
   * Resolves when the message is stored in the delay ladder: whether its queue will exist when it is due is unknown.
   * `publishNow` gets a message that is due already.
   */
  async publishLater(
    to: Destination,
    message: Message,
    options: PublishOptions,
    publishNow: (message: Message) => Promise<boolean>,
  ): Promise<boolean> {
    const startedAt = performance.now();
    checkMessage(message);
    refuseDelay(to, message);
    // The message waits here, and its body may be the caller's own buffer.
    const { dueAt, ...now } = copyUnsent(message);
    const seconds = Math.ceil(((dueAt as number) - Date.now()) / 1000);
    if (seconds <= 0) return publishNow(now);
    const entry = await this.#delays.entry(to.routingKey, seconds, options).catch((error) => {
      if (!isQueueError(error, 'QUEUE_MISSING')) throw error;
      throw new QueueError('UNROUTABLE', `message ${message.id} was not stored: ${error.message}`, {
        cause: error.cause,
      });
    });
    // In the ladder the property `expiration` would end the wait. The expiry is in the headers, too.
    const wire = toWire(entry, now, this.#queues.defaultPriorityOf(to), false);
    try {
      return await this.#publisher.publish(wire, limitsLeft(options, startedAt));
    } catch (error) {
      if (isQueueError(error, 'UNROUTABLE')) this.#delays.invalidate();
      throw error;
    }
  }

  /** Publishes the first message to an exchange, once it is known to exist. */
  async publishFirst(wire: WireMessage, options: PublishOptions): Promise<boolean> {
    const startedAt = performance.now();
    try {
      await this.#exchanges.find(wire.exchange, `message ${wire.id}`, options);
    } catch (error) {
      if (!isQueueError(error, 'UNROUTABLE')) throw error;
      this.#onMissing(wire.exchange);
      if (options.mandatory === false) return false;
      throw error;
    }
    return this.#publisher.publish(wire, limitsLeft(options, startedAt));
  }
}
