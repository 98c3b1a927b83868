import {
  DEFAULT_PRIORITY,
  type DelayedRetry,
  type Destination,
  type QueueSpec,
  type QueueStats,
  type WaitOptions,
} from '../../broker.js';
import { within } from '../../common/limits.js';
import { lacksDelayedRetry } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { onOwnChannel, request } from '../connection/request.js';
import type { AuxiliaryQueues } from './auxiliary-queues.js';
import { delayedRetryOf } from './delayed-retry.js';
import { deadLetterQueueDeclaration, queueDeclaration } from './queue-arguments.js';
import type { QueueDeclarer } from './queue-declarer.js';

/** A queue that somebody asked for. */
interface Declared {
  readonly spec: QueueSpec;
  /** Specs with the same one are the same. */
  readonly key: string;
  readonly done: Promise<void>;
  /** `doubtful`: it was there, and may not be any more. */
  state: 'pending' | 'there' | 'doubtful';
}

/** The queues of a broker: declared when asked for, remembered, and declared again after each reconnect. */
export class Topology {
  readonly #link: ReconnectingConnection;
  readonly #declarer: QueueDeclarer;
  readonly #auxiliary: AuxiliaryQueues;
  readonly #declared = new Map<string, Declared>();
  /** The queues that are known to delay retries themselves. */
  readonly #delaying = new Map<string, QueueSpec>();

  constructor(link: ReconnectingConnection, declarer: QueueDeclarer, auxiliary: AuxiliaryQueues) {
    this.#link = link;
    this.#declarer = declarer;
    this.#auxiliary = auxiliary;
  }

  /** What was last declared under this name. */
  specOf(queue: string): QueueSpec | undefined {
    return this.#declared.get(queue)?.spec;
  }

  /** How many messages a queue may hold by its definition; undefined: without limit, or not known. */
  capacityOf(queue: string): number | undefined {
    const spec = this.specOf(queue);
    const capacity = spec === undefined ? this.#auxiliary.capacityOf(queue) : spec.capacity;
    return capacity === Number.POSITIVE_INFINITY ? undefined : capacity;
  }

  /** The spec of a queue that is known to delay retries itself as its spec says. */
  delayingSpecOf(queue: string): QueueSpec | undefined {
    return this.#delaying.get(queue);
  }

  /** What a message without a priority counts as everywhere, said where RabbitMQ takes it for 0 if unsaid. */
  defaultPriorityOf({ exchange, routingKey }: Destination): number | undefined {
    const maxPriority = exchange === '' ? this.specOf(routingKey)?.maxPriority : undefined;
    return maxPriority === undefined ? undefined : Math.min(DEFAULT_PRIORITY, maxPriority);
  }

  /** Repeating it costs no I/O, and calls at the same time share one. */
  async declare(spec: QueueSpec, wait: WaitOptions): Promise<void> {
    const what = `declaring '${spec.name}'`;
    const key = JSON.stringify(spec);
    let declared = this.#declared.get(spec.name);
    if (declared?.key !== key || declared.state === 'doubtful') {
      const done = request(this.#link, { what, name: spec.name }, {}, (connection) =>
        this.#declareOn(connection, spec),
      );
      declared = { spec, key, done, state: 'pending' };
      this.#remember(declared);
    }
    if (declared.state === 'pending') await within(declared.done, what, wait);
  }

  /** The queue turned out not to be there: the next time that it is asked for, it is declared again. */
  doubt(queue: string): void {
    const declared = this.#declared.get(queue);
    if (declared?.state === 'there') declared.state = 'doubtful';
  }

  /**
   * Declares a queue again that a subscriber found missing. False where it is not ours to declare: it was never
   * declared here, or is to be taken as it is.
   */
  async restoreQueue(connection: Connection, queue: string): Promise<boolean> {
    const spec = this.specOf(queue);
    if (spec === undefined || spec.declare === 'existing') return false;
    await this.#declareOn(connection, spec);
    return true;
  }

  /** Declares what was declared before on a new connection. Rejects only when the connection is lost again. */
  async restore(connection: Connection): Promise<void> {
    // Those that are pending wait for the link, which waits for this.
    const there = [...this.#declared.values()].filter((declared) => declared.state !== 'pending');
    await Promise.all(
      there.map(async (declared) => {
        try {
          await this.#declareOn(connection, declared.spec);
          declared.state = 'there';
        } catch {
          // Whoever needs the queue meets the error: the next `declare`, publish or subscription.
          declared.state = 'doubtful';
        }
      }),
    );
    if (!connection.isOpen) throw connection.failure;
  }

  inspect(queue: string, wait: WaitOptions): Promise<QueueStats> {
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

  #remember(declared: Declared): void {
    const { name } = declared.spec;
    const before = this.#declared.get(name);
    this.#declared.set(name, declared);
    declared.done.then(
      () => {
        declared.state = 'there';
      },
      () => {
        if (this.#declared.get(name) !== declared) return;
        // What was declared before the refused one still is.
        if (before === undefined) this.#declared.delete(name);
        else this.#declared.set(name, before);
      },
    );
  }

  async #declareOn(connection: Connection, spec: QueueSpec): Promise<void> {
    if (spec.declare === 'existing') return this.#declarer.check(connection, spec.name);
    if (spec.declare === 'if-missing') {
      return this.#declarer.assertIfMissing(connection, queueDeclaration(spec, connection.version));
    }
    // First, so that no message is dead-lettered before there is a place for it.
    if (spec.deadLetter !== false) {
      const { queue, capacity } = spec.deadLetter;
      await this.#declarer.assert(
        connection,
        deadLetterQueueDeclaration(queue, capacity, connection.version),
      );
    }
    await this.#assertQueue(connection, spec, delayedRetryOf(spec, connection.version));
  }

  async #assertQueue(
    connection: Connection,
    spec: QueueSpec,
    delayedRetry: DelayedRetry | undefined,
  ): Promise<void> {
    try {
      await this.#declarer.assert(connection, queueDeclaration(spec, connection.version, delayedRetry));
    } catch (error) {
      // Of a time when the server, or the definition, had none of it. Its retries can wait in wait queues as before.
      if (delayedRetry === undefined || !lacksDelayedRetry(error)) throw error;
      return this.#assertQueue(connection, spec, undefined);
    }
    if (delayedRetry === undefined) this.#delaying.delete(spec.name);
    else this.#delaying.set(spec.name, spec);
  }
}
