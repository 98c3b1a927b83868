import type { Channel } from 'amqplib';
import { type Address, DEFAULT_PRIORITY, type QueueSpec, type WaitOptions } from '../broker.js';
import { isQueueError, QueueError } from '../errors.js';
import { isInterrupted, isNotFound, queueError, replyCode } from './broker-errors.js';
import { type Connection, closeChannel } from './connection.js';
import type { Link } from './link.js';
import {
  deadLetterQueueDeclaration,
  type QueueDeclaration,
  queueDeclaration,
  waitQueueDeclaration,
} from './queue-arguments.js';
import { RPC_LIMIT_MS, within } from './time-limit.js';

/** Opens another connection, for a declaration that may cost the connection it is made on. */
export type OpenThrowAway = () => Promise<Connection>;

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
  readonly #link: Link;
  readonly #openThrowAway: OpenThrowAway;
  readonly #declared = new Map<string, Declared>();
  /** Dead-letter and wait queues that are known to be there, by name. */
  readonly #auxiliary = new Map<string, Promise<void>>();

  readonly #deadLetterCapacities = new Map<string, number>();
  /** Exchanges that are known to be there. */
  readonly #exchanges = new Set<string>();

  constructor(link: Link, openThrowAway: OpenThrowAway) {
    this.#link = link;
    this.#openThrowAway = openThrowAway;
  }

  /** What was last declared under this name. */
  specOf(queue: string): QueueSpec | undefined {
    return this.#declared.get(queue)?.spec;
  }

  /** Repeating it costs no I/O, and calls at the same time share one. */
  async declare(spec: QueueSpec, wait: WaitOptions): Promise<void> {
    const key = JSON.stringify(spec);
    let declared = this.#declared.get(spec.name);
    if (declared?.key !== key || declared.state === 'doubtful') {
      const done = this.#request(`declaring '${spec.name}'`, spec.name, {}, (connection) =>
        this.#declareOn(connection, spec),
      );
      declared = { spec, key, done, state: 'pending' };
      this.#remember(declared);
    }
    await within(declared.done, `declaring '${spec.name}'`, wait);
  }

  /** How many messages a queue may hold by its definition; undefined: without limit, or not known. */
  capacityOf(queue: string): number | undefined {
    const spec = this.#declared.get(queue)?.spec;
    if (spec === undefined) return this.#deadLetterCapacities.get(queue);
    return spec.capacity === Number.POSITIVE_INFINITY ? undefined : spec.capacity;
  }

  /** What a message without a priority counts as everywhere, said where RabbitMQ takes it for 0 if unsaid. */
  defaultPriorityOf({ exchange, routingKey }: Address): number | undefined {
    const maxPriority = exchange === '' ? this.#declared.get(routingKey)?.spec.maxPriority : undefined;
    return maxPriority === undefined ? undefined : Math.min(DEFAULT_PRIORITY, maxPriority);
  }

  knowsExchange(exchange: string): boolean {
    return this.#exchanges.has(exchange);
  }

  /**
   * Rejects with `UNROUTABLE` where there is no such exchange. A publish to one makes the broker close the whole
   * channel, and what else is on its way there has to be sent a second time.
   */
  async findExchange(exchange: string, what: string, wait: WaitOptions): Promise<void> {
    try {
      await this.#request(what, exchange, wait, (connection) =>
        onOwnChannel(connection, (channel) => channel.checkExchange(exchange)),
      );
    } catch (error) {
      if (!isQueueError(error, 'QUEUE_MISSING')) throw error;
      throw new QueueError('UNROUTABLE', `${what}: there is no exchange '${exchange}'`, {
        cause: error.cause,
      });
    }
    this.#exchanges.add(exchange);
  }

  /** Something turned out not to be there: the next time that it is asked for, it is not relied on. */
  doubt({ exchange, routingKey }: Address): void {
    if (exchange !== '') {
      this.#exchanges.delete(exchange);
      return;
    }
    const declared = this.#declared.get(routingKey);
    if (declared?.state === 'there') declared.state = 'doubtful';
    this.#auxiliary.delete(routingKey);
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
    this.#auxiliary.clear();
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

  /** The queue that dead letters of `queue` go to, made sure to be there; undefined where they are dropped. */
  async deadLetterQueue(queue: string, wait: WaitOptions): Promise<string | undefined> {
    const spec = this.specOf(queue);
    if (spec?.deadLetter === false) return undefined;
    const { queue: name, capacity } = spec?.deadLetter ?? { queue: `${queue}.dead`, capacity: undefined };
    if (capacity !== undefined && capacity !== Number.POSITIVE_INFINITY) {
      this.#deadLetterCapacities.set(name, capacity);
    }
    await this.#declareAuxiliary(name, wait, (connection) => {
      const declaration = deadLetterQueueDeclaration(name, capacity, connection.version);
      return spec?.declare === 'match'
        ? this.#assert(connection, declaration)
        : this.#assertIfMissing(connection, declaration);
    });
    return name;
  }

  /** The queue where retried messages of `queue` wait, made sure to be there. */
  async waitQueue(queue: string, delayMs: number, wait: WaitOptions): Promise<string> {
    const declaration = waitQueueDeclaration(queue, delayMs);
    await this.#declareAuxiliary(declaration.name, wait, (connection) =>
      this.#assert(connection, declaration),
    );
    return declaration.name;
  }

  inspect(queue: string, wait: WaitOptions): Promise<{ ready: number; consumers: number }> {
    return this.#request(`inspecting '${queue}'`, queue, wait, (connection) =>
      onOwnChannel(connection, async (channel) => {
        const { messageCount, consumerCount } = await channel.checkQueue(queue);
        return { ready: messageCount, consumers: consumerCount };
      }),
    );
  }

  purge(queue: string, wait: WaitOptions): Promise<number> {
    return this.#request(`purging '${queue}'`, queue, wait, (connection) =>
      onOwnChannel(connection, async (channel) => (await channel.purgeQueue(queue)).messageCount),
    );
  }

  /** Requests are repeated on the next connection when theirs is lost: each of them may be made twice. */
  #request<T>(
    what: string,
    queue: string,
    wait: WaitOptions,
    make: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    const attempts = async () => {
      while (true) {
        const connection = await this.#link.connected(what, wait);
        try {
          return await make(connection);
        } catch (error) {
          if (!isInterrupted(error)) throw queueError(error, what, queue);
          // Its end may still be on its way to the link.
          if (connection.isOpen) throw queueError(error, what, queue);
          await connection.closed;
        }
      }
    };
    return within(attempts(), what, wait);
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

  async #declareAuxiliary(
    name: string,
    wait: WaitOptions,
    make: (connection: Connection) => Promise<void>,
  ): Promise<void> {
    let done = this.#auxiliary.get(name);
    if (done === undefined) {
      const begun = this.#request(`declaring '${name}'`, name, {}, make);
      this.#auxiliary.set(name, begun);
      begun.catch(() => {
        if (this.#auxiliary.get(name) === begun) this.#auxiliary.delete(name);
      });
      done = begun;
    }
    await within(done, `declaring '${name}'`, wait);
  }

  async #declareOn(connection: Connection, spec: QueueSpec): Promise<void> {
    if (spec.declare === 'existing') return this.#check(connection, spec.name);
    if (spec.declare === 'if-missing') return this.#assertIfMissing(connection, queueDeclaration(spec));
    // First, so that no message is dead-lettered before there is a place for it.
    if (spec.deadLetter !== false) {
      const { queue, capacity } = spec.deadLetter;
      await this.#assert(connection, deadLetterQueueDeclaration(queue, capacity, connection.version));
      this.#auxiliary.set(queue, Promise.resolve());
    }
    await this.#assert(connection, queueDeclaration(spec));
  }

  /** A refusal closes the channel it comes on: each declaration has one of its own. */
  async #assert(connection: Connection, { name, options }: QueueDeclaration): Promise<void> {
    const assert = (channel: Channel) => channel.assertQueue(name, options);
    try {
      if (options.durable === false && options.exclusive !== true) await this.#assertAside(assert);
      else await onOwnChannel(connection, assert);
    } catch (error) {
      // The connection decides whether to try again; what the broker says is about this queue by name.
      throw isInterrupted(error) ? error : queueError(error, `declaring '${name}'`, name);
    }
  }

  /**
   * RabbitMQ 4.3 and later refuse a transient queue that is not exclusive by closing the connection (541), which
   * would take everything else on it down.
   */
  async #assertAside(assert: (channel: Channel) => Promise<unknown>): Promise<void> {
    const aside = await this.#openThrowAway();
    try {
      await onOwnChannel(aside, assert);
    } catch (error) {
      if (aside.failure !== undefined && replyCode(aside.failure) !== undefined) {
        throw new QueueError(
          'BROKER_ERROR',
          `the broker takes no queue that is neither durable nor exclusive (RabbitMQ since 4.3); use durable: true, or exclusive: true: ${aside.failure.message}`,
          { cause: aside.failure },
        );
      }
      throw error;
    } finally {
      void aside.close();
    }
  }

  async #assertIfMissing(connection: Connection, declaration: QueueDeclaration): Promise<void> {
    try {
      await this.#check(connection, declaration.name);
      return;
    } catch (error) {
      if (!(error instanceof QueueError) || error.code !== 'QUEUE_MISSING') throw error;
    }
    try {
      await this.#assert(connection, declaration);
    } catch (error) {
      // Somebody else declared it in between, as something else: then that is what there is.
      if (!(error instanceof QueueError) || error.code !== 'QUEUE_MISMATCH') throw error;
    }
  }

  async #check(connection: Connection, queue: string): Promise<void> {
    try {
      await onOwnChannel(connection, (channel) => channel.checkQueue(queue));
    } catch (error) {
      if (isNotFound(error)) throw queueError(error, `declaring '${queue}'`, queue);
      throw error;
    }
  }
}

/** Makes a request on a channel of its own, whose end hurts nobody. */
async function onOwnChannel<T>(
  connection: Connection,
  request: (channel: Channel) => Promise<T>,
): Promise<T> {
  const channel = await connection.openChannel();
  try {
    return await within(request(channel), 'an answer of the broker', { timeoutMs: RPC_LIMIT_MS });
  } finally {
    void closeChannel(channel);
  }
}
