import type { QueueSpec, WaitOptions } from '../../broker.js';
import { backoffMs, Deferred, pause, within } from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { request } from '../connection/request.js';
import { DeclaredOnce } from './declared-once.js';
import type { DeclaredQueues } from './declared-queues.js';
import {
  deadLetterQueueDeclaration,
  type QueueDeclaration,
  readyQueueDeclaration,
  readyQueueName,
  waitQueueDeclaration,
} from './queue-arguments.js';
import type { QueueDeclarer } from './queue-declarer.js';
import type { RetryDelay } from './retry-delay-steps.js';

/** The time between two checks for a ready queue: RabbitMQ logs an error for each check that finds none. */
const LOOK_BACKOFF = { initialDelayMs: 500, maxDelayMs: 60_000 };

/** The queues that hold the retries and dead letters of another queue. They are declared when first needed. */
export class RetryAndDeadLetterQueues {
  readonly #link: ReconnectingConnection;
  readonly #declarer: QueueDeclarer;
  /** Queues that are declared or being declared, by name. */
  readonly #declared: DeclaredOnce;
  readonly #queues: DeclaredQueues;
  /** Queues whose ready queue this process has consumed from. */
  readonly #attended = new Set<string>();
  /** Queues that this process has retried a message of. */
  readonly #retried = new Set<string>();
  /** By queue. Resolved when another check may find retried messages. */
  readonly #clues = new Map<string, Deferred>();

  constructor(link: ReconnectingConnection, declarer: QueueDeclarer, queues: DeclaredQueues) {
    this.#link = link;
    this.#declarer = declarer;
    this.#queues = queues;
    this.#declared = new DeclaredOnce(link);
  }

  /** Called when the queue turned out not to exist: it is declared again when next needed. */
  invalidate(queue: string): void {
    this.#declared.forget(queue);
  }

  /**
   * Declares the queue for dead letters: the one in the definition, or `<queue>.dead` for a queue without a definition.
   * Undefined if dead letters are dropped.
   */
  async ensureDeadLetterQueue(
    queue: string,
    spec: QueueSpec | undefined,
    wait: WaitOptions,
  ): Promise<string | undefined> {
    if (spec?.deadLetter === false) return undefined;
    const { queue: name, capacity } = spec?.deadLetter ?? { queue: `${queue}.dead`, capacity: undefined };
    await this.#declared.ensure(name, { what: `declaring '${name}'`, name }, wait, async (connection) => {
      const declaration = deadLetterQueueDeclaration(name, capacity, connection.version);
      if (spec?.declare === 'match') await this.#declarer.assert(connection, declaration);
      else await this.#declarer.assertIfMissing(connection, declaration);
      this.#queues.setCapacity(name, capacity, spec?.declare !== 'match');
    });
    return name;
  }

  /**
   * Declares the queue to publish a message to that is to return to `queue` after the delay: a wait queue. Without a delay
   * it is `queue` itself, or its ready queue if the message may have to wait for room.
   */
  async ensureRetryTarget(queue: string, delay: RetryDelay | undefined, wait: WaitOptions): Promise<string> {
    const hasDelay = delay !== undefined && delay.ms > 0;
    if (!hasDelay && this.#queues.capacityOf(queue) === undefined) return queue;
    const ready = await this.#readyQueue(queue, wait);
    if (!hasDelay) return ready;
    return this.#assert(waitQueueDeclaration(queue, delay, this.#queues.isExclusive(queue)), wait);
  }

  /**
   * The ready queue of `queue`, which holds retried messages whose delay is over. Resolves as soon as it has to be consumed:
   * if `queue` has a capacity, if this process has retried a message, or if the ready queue exists, which is checked again
   * after a redelivery. Another call declares it again, because without it retried messages would be lost.
   */
  async attendedReadyQueue(queue: string, wait: WaitOptions): Promise<string> {
    const name = readyQueueName(queue);
    if (this.#attended.has(queue)) {
      this.invalidate(name);
      await this.#readyQueue(queue, wait);
    } else if (this.#queues.capacityOf(queue) !== undefined) {
      await this.#readyQueue(queue, wait);
    } else {
      await this.#untilRetried(queue, name, wait);
      // If it was found during its declaration, it is complete when the declaration is answered.
      if (this.#declared.has(name)) await this.#readyQueue(queue, wait);
    }
    this.#attended.add(queue);
    return name;
  }

  async #readyQueue(queue: string, wait: WaitOptions): Promise<string> {
    const name = await this.#assert(readyQueueDeclaration(queue, this.#queues.isExclusive(queue)), wait);
    this.#retried.add(queue);
    this.#clues.get(queue)?.resolve();
    return name;
  }

  /** Called when a message of the queue was redelivered: the process that had it before may have retried others. */
  noticeRedelivery(queue: string): void {
    this.#clues.get(queue)?.resolve();
  }

  async #untilRetried(queue: string, ready: string, wait: WaitOptions): Promise<void> {
    for (let looks = 1; !this.#retried.has(queue); looks++) {
      const clue = this.#clues.get(queue) ?? new Deferred();
      this.#clues.set(queue, clue);
      if (await this.#exists(ready, wait)) return;
      await within(clue.promise, `retrying messages of '${queue}'`, wait);
      if (this.#clues.get(queue) === clue) this.#clues.delete(queue);
      if (!this.#retried.has(queue)) await pause(backoffMs(looks, LOOK_BACKOFF), wait.signal);
    }
  }

  async #exists(name: string, wait: WaitOptions): Promise<boolean> {
    try {
      const subject = { what: `finding '${name}'`, name };
      await request(this.#link, subject, wait, (connection) => this.#declarer.check(connection, name), 1);
      return true;
    } catch (error) {
      // The broker closed the connection, perhaps because of a channel limit: consumers need the channels more.
      if (isQueueError(error, 'QUEUE_MISSING', 'BROKER_ERROR')) return false;
      throw error;
    }
  }

  async #assert(declaration: QueueDeclaration, wait: WaitOptions): Promise<string> {
    const { name } = declaration;
    await this.#declared.ensure(name, { what: `declaring '${name}'`, name }, wait, (connection) =>
      this.#declarer.assert(connection, declaration),
    );
    return name;
  }
}
