import type { Channel } from 'amqplib';
import type { BrokerEvent, Destination, WaitOptions } from '../../broker.js';
import { QueueError } from '../../errors.js';
import type { Connection } from '../connection/connection.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { onOwnChannel } from '../connection/request.js';
import { DELAY_PREFIX, LOST } from '../wire/origin.js';
import { DeclaredOnce } from './declared-once.js';
import { LostDelays } from './lost-delays.js';
import type { QueueDeclarer } from './queue-declarer.js';
import type { RetryAndDeadLetterQueues } from './retry-and-dead-letter-queues.js';

/** A queue for each bit of a delay in seconds: up to 2^28 seconds, eight and a half years. */
const LEVELS = 28;

const MAX_SECONDS = 2 ** LEVELS - 1;

/** A routing key has at most 255 bytes, of which each level takes two. */
const MAX_NAME_BYTES = 255 - 2 * LEVELS;

/** The exchange below the lowest level, which routes messages to their queues. */
const DELIVERY = `${DELAY_PREFIX}deliver`;
/** What errors call it. */
const LADDER = { what: 'declaring the ladder of delays', name: DELIVERY };

/** How long a binding is assumed to exist. */
const BIND_AGAIN_MS = 5000;

const level = (number: number) => `${DELAY_PREFIX}${number}`;

const stars = (count: number) => '*.'.repeat(count);

/** The routing key: the bits of the delay, the highest first, and the queue. */
export function ladderKey(seconds: number, queue: string): string {
  const bits = seconds.toString(2).padStart(LEVELS, '0');
  return `${[...bits].join('.')}.${queue}`;
}

/** Why messages to the queue can't wait; undefined if they can. */
export function undelayable(queue: string): string | undefined {
  if (Buffer.byteLength(queue) > MAX_NAME_BYTES) return `its name has more than ${MAX_NAME_BYTES} bytes`;
  const hasWildcard = queue.split('.').some((word) => word === '*' || word === '#');
  return hasWildcard ? 'its name has a word that is a wildcard, * or #' : undefined;
}

/**
 * The queues in which delayed messages wait: one ladder for all queues of a virtual host, bounded regardless of the
 * delays. A message enters at the highest bit of its delay, and passes each level in turn:
 *
 *   exchange n ──bit 1──► queue n, for 2^n seconds ──► exchange n-1 ──► … ──► exchange `deliver` ──► its queue
 *        └──────bit 0────────────────────────────────────► ▲                          └──gone──► queue `lost`
 *
 * Patterns have one star per bit: with `#`, a message for `a.b` would also go to a queue `b`. Without the queue `lost`,
 * messages for a deleted queue would stay at the lowest level, which waits for 32 confirms at a time, and block all
 * others.
 */
export class DelayedSendLadder {
  readonly #retryAndDeadLetterQueues: RetryAndDeadLetterQueues;
  /** Levels and targets that were declared, or are being declared, on this connection. */
  readonly #ready: DeclaredOnce;
  /** When each target was last bound. */
  readonly #boundAt = new Map<string, number>();

  /** The queues of the messages that were delayed here. */
  readonly #queues = new Set<string>();
  readonly #lost: LostDelays;

  constructor(
    link: ReconnectingConnection,
    retryAndDeadLetterQueues: RetryAndDeadLetterQueues,
    parts: { readonly declarer: QueueDeclarer; readonly observe: (event: BrokerEvent) => void },
  ) {
    this.#lost = new LostDelays({ ...parts, link, targets: () => this.#queues });
    this.#retryAndDeadLetterQueues = retryAndDeadLetterQueues;
    this.#ready = new DeclaredOnce(link);
  }

  /**
   * Where to publish a message that is to reach `queue` after this many seconds, at least one. Declares all missing
   * parts. Rejects with `INVALID_MESSAGE` for a queue whose messages can't be delayed.
   */
  async entry(queue: string, seconds: number, wait: WaitOptions): Promise<Destination> {
    const why = undelayable(queue);
    if (why !== undefined) {
      throw new QueueError('INVALID_MESSAGE', `messages to '${queue}' can't be delayed: ${why}`);
    }
    const delay = Math.min(seconds, MAX_SECONDS);
    const top = Math.floor(Math.log2(delay));
    // A queue with a capacity receives them like its retries, when it has room.
    const target = await this.#retryAndDeadLetterQueues.ensureRetryTarget(queue, undefined, wait);
    this.#forgetOldBinding(target);
    await this.#ready.ensure(`to ${target}`, LADDER, wait, async (connection) => {
      await this.#declareEnd(connection);
      await onOwnChannel(connection, (channel) =>
        channel.bindQueue(target, DELIVERY, `${stars(LEVELS)}${queue}`),
      );
    });
    await this.#ready.ensure(`from ${top}`, LADDER, wait, async (connection) => {
      for (let number = 0; number <= top; number++) await this.#declareLevel(connection, number);
    });
    this.#queues.add(queue);
    this.#lost.expect(delay);
    return { exchange: level(top), routingKey: ladderKey(delay, queue) };
  }

  /** RabbitMQ silently drops the bindings of a deleted queue: without them all its delayed messages would be lost. */
  #forgetOldBinding(target: string): void {
    const now = performance.now();
    if ((this.#boundAt.get(target) ?? Number.NEGATIVE_INFINITY) > now - BIND_AGAIN_MS) return;
    this.#ready.forget(`to ${target}`);
    this.#boundAt.set(target, now);
  }

  /** The queue was removed here. */
  forget(queue: string): void {
    this.#boundAt.delete(queue);
  }

  /** Called when a part of it turned out to be missing. */
  invalidate(): void {
    this.#ready.forgetAll();
  }

  async #declareEnd(connection: Connection): Promise<void> {
    await onOwnChannel(connection, async (channel) => {
      await channel.assertQueue(LOST, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
      await channel.assertExchange(LOST, 'fanout', { durable: true });
      await channel.bindQueue(LOST, LOST, '');
      await channel.assertExchange(DELIVERY, 'topic', { durable: true, alternateExchange: LOST });
    });
  }

  async #declareLevel(connection: Connection, number: number): Promise<void> {
    const next = number === 0 ? DELIVERY : level(number - 1);
    const own = level(number);
    const before = stars(LEVELS - 1 - number);
    await onOwnChannel(connection, async (channel: Channel) => {
      await channel.assertExchange(own, 'topic', { durable: true });
      await channel.assertQueue(own, {
        durable: true,
        arguments: {
          'x-queue-type': 'quorum',
          'x-message-ttl': 2 ** number * 1000,
          'x-dead-letter-exchange': next,
          'x-dead-letter-strategy': 'at-least-once',
          'x-overflow': 'reject-publish',
        },
      });
      await channel.bindQueue(own, own, `${before}1.#`);
      await channel.bindExchange(next, own, `${before}0.#`);
    });
  }
}
