import type { ExchangeSpec, QueueSpec, QueueStats, WaitOptions } from '../../broker.js';
import { pause } from '../../common/waiting/waiting.js';
import { isQueueError } from '../../errors.js';
import { isAccessRefused } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { onOwnChannel, request } from '../connection/request.js';
import type { Bindings } from './bindings.js';
import type { DeclaredQueues } from './declared-queues.js';
import type { Exchanges } from './exchanges.js';
import { LostQueues } from './lost-queues.js';
import {
  deadLetterQueueDeclaration,
  delayedRetryOf,
  delaysRetries,
  queueDeclaration,
} from './queue-arguments.js';
import type { QueueDeclarer } from './queue-declarer.js';

/** How long a queue that can be found may take to start: about ten milliseconds on an idle server. */
const STARTING_MS = 100;

/** The figures that AMQP reports about a queue. */
export type QueueCounts = Pick<QueueStats, 'ready' | 'consumers'>;

/** Declares the queues of a broker on request, and again when they were lost. */
export class Topology {
  /** Restores queues and bindings. */
  readonly lost: LostQueues;
  readonly #link: ReconnectingConnection;
  readonly #declarer: QueueDeclarer;
  readonly #queues: DeclaredQueues;
  readonly #exchanges: Exchanges;
  readonly #bindings: Bindings;

  constructor(
    link: ReconnectingConnection,
    declarer: QueueDeclarer,
    parts: { readonly queues: DeclaredQueues; readonly exchanges: Exchanges; readonly bindings: Bindings },
  ) {
    this.#link = link;
    this.#declarer = declarer;
    this.#queues = parts.queues;
    this.#exchanges = parts.exchanges;
    this.#bindings = parts.bindings;
    this.lost = new LostQueues({
      ...parts,
      declarer,
      declareOn: (connection, spec) => this.#declareOn(connection, spec),
    });
  }

  /** The spec that was last declared under this name. */
  specOf(queue: string): QueueSpec | undefined {
    return this.#queues.specOf(queue);
  }

  /** Declares a queue. Repeated calls cost no I/O, and concurrent calls share one declaration. */
  async declare(spec: QueueSpec, wait: WaitOptions): Promise<void> {
    const what = `declaring '${spec.name}'`;
    const key = JSON.stringify(spec);
    let declared = this.#queues.get(spec.name);
    if (declared?.key !== key || declared.state === 'stale') {
      const done = request(this.#link, { what, name: spec.name }, {}, (connection) =>
        this.#declareOn(connection, spec),
      );
      declared = this.#queues.add(spec, key, done);
    }
    if (declared.state === 'pending') await this.#link.within(declared.done, what, wait);
  }

  /**
   * Called before a subscription, on servers where a new queue can be found before it runs: another process may be declaring
   * it. A queue with a message or a consumer runs; any other gets a moment. Never rejects: errors show in the subscription.
   */
  async untilRunning(connection: Connection, queue: string): Promise<void> {
    if (!connection.version.answersBeforeQueuesRun || this.specOf(queue)?.type === 'classic') return;
    try {
      const { messageCount, consumerCount } = await onOwnChannel(connection, (channel) =>
        channel.checkQueue(queue),
      );
      if (messageCount + consumerCount === 0) await pause(STARTING_MS);
    } catch {
      // Missing, refused, or the connection is gone.
    }
  }

  inspect(queue: string, wait: WaitOptions): Promise<QueueCounts> {
    return request(this.#link, { what: `inspecting '${queue}'`, name: queue }, wait, (connection) =>
      onOwnChannel(connection, async (channel) => {
        const { messageCount, consumerCount } = await channel.checkQueue(queue);
        return { ready: messageCount, consumers: consumerCount };
      }),
    );
  }

  purge(queue: string, wait: WaitOptions): Promise<number> {
    return request(this.#link, { what: `purging '${queue}'`, name: queue }, wait, (connection) =>
      onOwnChannel(connection, async (channel) => (await channel.purgeQueue(queue)).messageCount),
    );
  }

  /** Deletes a queue. Its subscribers do not declare it again. */
  remove(queue: string, wait: WaitOptions): Promise<void> {
    let asked = false;
    return request(this.#link, { what: `removing '${queue}'`, name: queue }, wait, (connection) =>
      onOwnChannel(connection, async (channel) => {
        // To RabbitMQ, deleting a missing queue is not an error.
        if (!asked) await channel.checkQueue(queue);
        asked = true;
        this.#queues.forget(queue);
        this.#bindings.forget(queue);
        await channel.deleteQueue(queue);
      }),
    );
  }

  /** Declares an exchange. If one that has to exist is missing, its alternate may be gone as well. */
  async declareExchange(exchange: ExchangeSpec, wait: WaitOptions): Promise<void> {
    try {
      await this.#exchanges.declare(exchange, wait);
    } catch (error) {
      if (isQueueError(error, 'QUEUE_MISSING')) this.invalidateExchange(exchange.name, exchange.alternate);
      throw error;
    }
  }

  /** Deletes an exchange. The queues that were bound to it are bound again when they are next declared. */
  async removeExchange(exchange: string, wait: WaitOptions): Promise<void> {
    const alternate = this.#exchanges.alternateOf(exchange);
    await this.#exchanges.remove(exchange, wait);
    this.invalidateExchange(exchange, alternate);
  }

  /**
   * Called when the exchange may not exist: it, its alternates and the queues bound to any of them are declared again
   * when they are needed.
   */
  invalidateExchange(exchange: string, alternate = this.#exchanges.alternateOf(exchange)): void {
    const seen = new Set<string>();
    for (
      let name: string | undefined = exchange;
      name !== undefined && !seen.has(name);
      name = name === exchange ? alternate : this.#exchanges.alternateOf(name)
    ) {
      seen.add(name);
      this.#exchanges.invalidate(name);
      for (const queue of this.#bindings.queuesOf(name)) this.#queues.invalidate(queue);
    }
  }

  /**
   * Called when no queue or no exchange took a message. `isDropped`: its exchange exists, and may drop messages. An
   * alternate exchange would have taken it, if that and its queue existed.
   */
  onUnroutable(exchange: string, isDropped: boolean): void {
    if (exchange === '' || (isDropped && this.#exchanges.alternateOf(exchange) === undefined)) return;
    this.invalidateExchange(exchange);
  }

  async #declareOn(connection: Connection, spec: QueueSpec): Promise<void> {
    await this.#bindings.declareExchangesOn(connection, spec);
    if (spec.declare === 'match') await this.#assert(connection, spec);
    else if (spec.declare === 'existing') await this.#find(connection, spec.name);
    const isCreated =
      spec.declare === 'if-missing' &&
      (await this.#declarer.assertIfMissing(connection, queueDeclaration(spec, connection.version)));
    this.#queues.setCapacity(spec.name, spec.capacity, spec.declare !== 'match' && !isCreated);
    await this.#bindings.declareOn(connection, spec);
  }

  async #assert(connection: Connection, spec: QueueSpec): Promise<void> {
    const { version } = connection;
    // The dead-letter queue comes first, so that it exists before any message is dead-lettered.
    if (spec.deadLetter !== false) {
      const { queue, capacity } = spec.deadLetter;
      await this.#declarer.assert(connection, deadLetterQueueDeclaration(queue, capacity, version));
      this.#queues.setCapacity(queue, capacity, false);
    }
    const options = await this.#declarer.assert(connection, queueDeclaration(spec, version));
    this.#queues.setDelaying(spec, delayedRetryOf(spec, version) !== undefined && delaysRetries(options));
  }

  /**
   * A passive declaration requires a permission that a sender does not need. If it is refused, the queue
   * counts as existing: the broker returns a publish to a missing queue anyway, and refuses a consumer on its own.
   */
  async #find(connection: Connection, queue: string): Promise<void> {
    try {
      await this.#declarer.check(connection, queue);
    } catch (error) {
      if (!isAccessRefused(error)) throw error;
    }
  }
}
