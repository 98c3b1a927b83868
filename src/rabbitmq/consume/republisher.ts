import type { Failure, Message, MessageHeaders } from '../../broker.js';
import { deadLetterHeaders } from '../../common/message/dead-letter-headers.js';
import { hasExpiry, withExpiry } from '../../common/message/expiry.js';
import { FAILURES, STACK } from '../../common/message/failure-headers.js';
import { postponeHeaders, retryHeaders } from '../../common/message/retry-headers.js';
import { isQueueError } from '../../errors.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import type { Publisher } from '../publish/publisher.js';
import type { DeclaredQueues } from '../topology/declared-queues.js';
import { isDelayOf } from '../topology/queue-arguments.js';
import type { RetryAndDeadLetterQueues } from '../topology/retry-and-dead-letter-queues.js';
import type { RetryDelay } from '../topology/retry-delay-steps.js';
import type { ReceivedMessage, WireMessage } from '../wire/amqp-message.js';
import { deathHeaders, republished, stripped, thinned } from '../wire/republished.js';
import { OversizedMessages } from './oversized-messages.js';

/** How long storing a message for another attempt may take; then it returns to its queue at once. */
const RETRY_LIMIT_MS = 30_000;

/** How many bytes of the sender's headers to keep when not all fit, tried in turn. The first is half a header table. */
const KEPT_HEADER_BYTES = [32 * 1024, 2 * 1024, 0];

/** A received message, as far as moving it needs. */
export interface MovableMessage {
  readonly received: ReceivedMessage;
  readonly message: Pick<Message, 'id' | 'expiresAt'>;
  readonly attempt: number;
  /** How often it returned, according to its queue. */
  readonly returns: number;
}

/**
 * Moves received messages to other queues, for later or for good. It has its own publisher: behind sends that wait for
 * a full queue, the consumers that make room in it would wait forever.
 */
export class Republisher {
  readonly oversized = new OversizedMessages();
  readonly #link: ReconnectingConnection;
  readonly #publisher: Publisher;
  readonly #queues: DeclaredQueues;
  readonly #retryAndDeadLetterQueues: RetryAndDeadLetterQueues;

  /** `publisher` publishes on `link`. */
  constructor(
    link: ReconnectingConnection,
    publisher: Publisher,
    queues: DeclaredQueues,
    retryAndDeadLetterQueues: RetryAndDeadLetterQueues,
  ) {
    this.#link = link;
    this.#publisher = publisher;
    this.#queues = queues;
    this.#retryAndDeadLetterQueues = retryAndDeadLetterQueues;
  }

  /** Whether `queue` itself delivers a rejected message again after exactly this delay. */
  isDelayOfQueue(queue: string, { returns }: MovableMessage, delayMs: number): boolean {
    const spec = this.#queues.delayingSpecOf(queue);
    return spec !== undefined && isDelayOf(spec, returns, delayMs);
  }

  /**
   * Whether the broker itself moves a rejected message of `queue` to its dead-letter queue and loses none: a classic queue
   * drops those that a limited one refuses. Then that queue exists when this resolves.
   */
  async ensureBrokerDeadLetters(queue: string, signal: AbortSignal): Promise<boolean> {
    const spec = this.#queues.specOf(queue);
    if (spec?.declare !== 'match' || spec.deadLetter === false) return false;
    const { queue: name, capacity } = spec.deadLetter;
    if (spec.type === 'classic' && capacity !== undefined) return false;
    if (Object.keys(spec.arguments).some((argument) => argument.startsWith('x-dead-letter-'))) return false;
    this.#retryAndDeadLetterQueues.invalidate(name);
    await this.#retryAndDeadLetterQueues.ensureDeadLetterQueue(queue, spec, { signal });
    return true;
  }

  /**
   * Resolves when the message is stored, to return to `queue` after the delay. Without a failure: it is postponed.
   */
  async retry(
    queue: string,
    delivery: MovableMessage,
    delay: RetryDelay,
    failure: Failure | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const wait = { signal, timeoutMs: RETRY_LIMIT_MS };
    const target = () => this.#retryAndDeadLetterQueues.ensureRetryTarget(queue, delay, wait);
    const change = (headers: MessageHeaders) =>
      failure === undefined
        ? postponeHeaders(headers, delivery.attempt)
        : retryHeaders(headers, delivery.attempt + 1, failure);
    await this.#publish(target, wait, (to) =>
      republished(
        to,
        delivery.received,
        delivery.message.id,
        (headers) => this.#timed(delivery, change(headers)),
        to === queue ? this.#expiryIn(queue, delivery) : undefined,
      ),
    );
  }

  /** Resolves when the message is stored in the dead-letter queue of `queue`; to false if it has none. */
  async deadLetter(
    queue: string,
    delivery: MovableMessage,
    failure: Failure,
    signal: AbortSignal,
  ): Promise<boolean> {
    const wait = { signal };
    const spec = this.#queues.specOf(queue);
    const target = () => this.#retryAndDeadLetterQueues.ensureDeadLetterQueue(queue, spec, wait);
    return this.#publish(target, wait, (to) =>
      republished(to, delivery.received, delivery.message.id, (headers) =>
        deadLetterHeaders(headers, { queue, attempt: delivery.attempt, failure }),
      ),
    );
  }

  /** Resolves when the message is stored in `queue`, as it is; waits while there is no room. */
  async bringBack(queue: string, delivery: MovableMessage, signal: AbortSignal): Promise<void> {
    const message = republished(
      queue,
      delivery.received,
      delivery.message.id,
      (headers) => this.#timed(delivery, headers),
      this.#expiryIn(queue, delivery),
    );
    await this.#carry(message, { signal });
  }

  /**
   * As `bringBack`, for a message that stays in its queue: with the broker's record of its death, if that is how it got
   * there.
   */
  async putAtEnd(queue: string, delivery: MovableMessage, signal: AbortSignal): Promise<void> {
    const { received } = delivery;
    const message = republished(
      queue,
      received,
      delivery.message.id,
      (headers) => this.#timed(delivery, { ...headers, ...deathHeaders(received) }),
      this.#expiryIn(queue, delivery),
    );
    await this.#carry(message, { signal });
  }

  /** The remaining time of another client's message is not in a header yet. */
  #timed({ message: { expiresAt } }: MovableMessage, headers: MessageHeaders): MessageHeaders {
    return expiresAt === undefined || hasExpiry(headers) ? headers : withExpiry(headers, expiresAt);
  }

  /**
   * When a message that returns to its queue expires there. It must not expire in a wait queue: the broker would take that
   * for the end of the wait.
   */
  #expiryIn(queue: string, { message }: MovableMessage): number | undefined {
    return this.#queues.keepsExpired({ exchange: '', routingKey: queue }) ? undefined : message.expiresAt;
  }

  /** Publishes to a queue that may have to be declared first. False if there is none. */
  async #publish(
    target: () => Promise<string | undefined>,
    wait: { readonly signal: AbortSignal; readonly timeoutMs?: number },
    make: (queue: string) => WireMessage,
  ): Promise<boolean> {
    const queue = await target();
    if (queue === undefined) return false;
    try {
      await this.#carry(make(queue), wait);
    } catch (error) {
      if (!isQueueError(error, 'UNROUTABLE')) throw error;
      // It was there, and is declared once more.
      await this.#carry(make((await target()) ?? queue), wait);
    }
    return true;
  }

  /**
   * Every message can be moved: where its headers don't fit, it drops the stack of its error, then its failures, then the
   * largest of its sender's headers, if necessary all of them.
   */
  async #carry(
    message: WireMessage,
    wait: { readonly signal: AbortSignal; readonly timeoutMs?: number },
  ): Promise<void> {
    // All headers share one frame with the history, which then takes up to 6 kB.
    const most = this.#link.frameMax / 4;
    const short = () => stripped(message, [STACK, FAILURES]);
    const thin = KEPT_HEADER_BYTES.map((bytes) => () => thinned(short(), Math.min(bytes, most)));
    const versions = [() => message, () => stripped(message, [STACK]), short, ...thin];
    for (const [index, version] of versions.entries()) {
      try {
        await this.#publisher.publish(version(), wait);
        return;
      } catch (error) {
        if (!isQueueError(error, 'INVALID_MESSAGE') || index === versions.length - 1) throw error;
      }
    }
  }
}
