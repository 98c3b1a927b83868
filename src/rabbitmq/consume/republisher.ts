import type { Failure } from '../../broker.js';
import { deadLetterHeaders, retryHeaders } from '../../common/history-headers.js';
import { isQueueError } from '../../errors.js';
import type { Publisher } from '../publish/publisher.js';
import type { AuxiliaryQueues } from '../topology/auxiliary-queues.js';
import type { DeclaredQueues } from '../topology/declared-queues.js';
import { isDelayOf } from '../topology/queue-arguments.js';
import { deathHeaders, republished, type WireMessage, withRoomForHistory } from '../wire/amqp-message.js';
import type { RabbitMqDelivery } from './delivery.js';

/** How long storing a message for another attempt may take; then it goes back to its queue at once. */
const RETRY_LIMIT_MS = 30_000;

/**
 * Moves received messages to other queues, for later or for good. It has a publisher to itself: behind the sends
 * that wait for a full queue, the consumers that are to make room in it would wait for ever.
 */
export class Republisher {
  readonly #publisher: Publisher;
  readonly #queues: DeclaredQueues;
  readonly #auxiliary: AuxiliaryQueues;

  constructor(publisher: Publisher, queues: DeclaredQueues, auxiliary: AuxiliaryQueues) {
    this.#publisher = publisher;
    this.#queues = queues;
    this.#auxiliary = auxiliary;
  }

  /** Whether `queue`, given the message back as failed, brings it again after just this delay. */
  isDelayOfQueue(queue: string, { returns }: RabbitMqDelivery, delayMs: number): boolean {
    const spec = this.#queues.delayingSpecOf(queue);
    return spec !== undefined && isDelayOf(spec, returns, delayMs);
  }

  /** Resolves when the message is stored, to come to `queue` again after the delay. */
  async retry(
    queue: string,
    delivery: RabbitMqDelivery,
    delayMs: number,
    failure: Failure,
    signal: AbortSignal,
  ): Promise<void> {
    const wait = { signal, timeoutMs: RETRY_LIMIT_MS };
    const target = () => this.#auxiliary.waitQueue(queue, delayMs, wait);
    await this.#publish(target, wait, (to) =>
      republished(to, delivery.raw, delivery.message.id, (headers) =>
        retryHeaders(headers, delivery.attempt + 1, failure),
      ),
    );
  }

  /** Resolves when the message is stored in the dead-letter queue of `queue`; to false where it has none. */
  async deadLetter(
    queue: string,
    delivery: RabbitMqDelivery,
    failure: Failure,
    signal: AbortSignal,
  ): Promise<boolean> {
    const wait = { signal };
    const spec = this.#queues.specOf(queue);
    const target = () => this.#auxiliary.deadLetterQueue(queue, spec, wait);
    return this.#publish(target, wait, (to) =>
      republished(to, delivery.raw, delivery.message.id, (headers) =>
        deadLetterHeaders(headers, { queue, attempt: delivery.attempt, failure }),
      ),
    );
  }

  /** Resolves when the message is stored in `queue`, as it is; waits while there is no room. */
  async bringBack(queue: string, delivery: RabbitMqDelivery, signal: AbortSignal): Promise<void> {
    const message = republished(queue, delivery.raw, delivery.message.id, (headers) => ({ ...headers }));
    await this.#publisher.publish(message, { signal });
  }

  /**
   * As `bringBack`, for a message that stays where it is: with what the broker wrote of its death, where that is how
   * it came there.
   */
  async putAtEnd(queue: string, delivery: RabbitMqDelivery, signal: AbortSignal): Promise<void> {
    const { raw } = delivery;
    const message = republished(queue, raw, delivery.message.id, (headers) => ({
      ...headers,
      ...deathHeaders(raw),
    }));
    await this.#publisher.publish(message, { signal });
  }

  /** A queue that is missing although it was there is declared once more; headers that can't be encoded are thinned out. */
  async #publish(
    target: () => Promise<string | undefined>,
    wait: { readonly signal: AbortSignal; readonly timeoutMs?: number },
    make: (queue: string) => WireMessage,
  ): Promise<boolean> {
    const queue = await target();
    if (queue === undefined) return false;
    try {
      await this.#publisher.publish(make(queue), wait);
    } catch (error) {
      if (isQueueError(error, 'INVALID_MESSAGE')) {
        await this.#publisher.publish(withRoomForHistory(make(queue), this.#publisher.frameMax), wait);
      } else if (isQueueError(error, 'UNROUTABLE')) {
        await this.#publisher.publish(make((await target()) ?? queue), wait);
      } else {
        throw error;
      }
    }
    return true;
  }
}
