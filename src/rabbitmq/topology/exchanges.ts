import type { Channel } from 'amqplib';
import type { ExchangeSpec, WaitOptions } from '../../broker.js';
import { checkRemovable } from '../../common/definitions/exchange-spec.js';
import { isQueueError, QueueError } from '../../errors.js';
import { isAccessRefused, isInterrupted, isNotFound, queueError } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import type { ReconnectingConnection } from '../connection/reconnecting-connection.js';
import { onOwnChannel, request } from '../connection/request.js';

/**
 * Exchanges that are known to exist. A publish to a missing exchange makes the broker close the whole channel, and all
 * other messages in flight have to be sent again. So the first publish to an exchange checks that it exists.
 */
export class Exchanges {
  readonly #link: ReconnectingConnection;
  readonly #known = new Set<string>();
  /** Exchanges that were declared here, to be declared again after a reconnect. */
  readonly #specs = new Map<string, ExchangeSpec>();
  /** Pending requests, so that a burst of first messages sends only one. */
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(link: ReconnectingConnection) {
    this.#link = link;
  }

  has(exchange: string): boolean {
    return this.#known.has(exchange);
  }

  /** Rejects with `UNROUTABLE` if the exchange does not exist. */
  async find(exchange: string, what: string, wait: WaitOptions): Promise<void> {
    const spec = this.#specs.get(exchange);
    if (spec !== undefined && spec.declare !== 'existing') return this.declare(spec, wait);
    const finding = this.#once(exchange, `finding the exchange '${exchange}'`, exchange, (connection) =>
      onOwnChannel(connection, (channel) => channel.checkExchange(exchange)),
    );
    try {
      await this.#link.within(finding, what, wait);
    } catch (error) {
      if (!isQueueError(error, 'QUEUE_MISSING')) throw error;
      throw new QueueError('UNROUTABLE', `${what}: there is no exchange '${exchange}'`, {
        cause: error.cause,
      });
    }
    this.#known.add(exchange);
  }

  /** Repeated calls cost no I/O, and concurrent calls share one declaration. */
  async declare(spec: ExchangeSpec, wait: WaitOptions): Promise<void> {
    const { name } = spec;
    if (this.#known.has(name) && isSame(this.#specs.get(name), spec)) return;
    const what = `declaring the exchange '${name}'`;
    const declaring = this.#once(JSON.stringify(spec), what, name, (connection) =>
      this.declareOn(connection, spec),
    );
    await this.#link.within(declaring, what, wait);
  }

  /** Deletes an exchange. It is not declared again after a reconnect, unless a queue's bindings name it. */
  async remove(exchange: string, wait: WaitOptions): Promise<void> {
    checkRemovable(exchange);
    let asked = false;
    const what = `removing the exchange '${exchange}'`;
    await request(this.#link, { what, name: exchange }, wait, (connection) =>
      onOwnChannel(connection, async (channel) => {
        // To RabbitMQ, deleting a missing exchange is not an error.
        if (!asked) await channel.checkExchange(exchange);
        asked = true;
        this.#specs.delete(exchange);
        this.#known.delete(exchange);
        await channel.deleteExchange(exchange);
      }),
    );
  }

  /** Like `declareOn`, unless it is declared already. */
  async ensureOn(connection: Connection, spec: ExchangeSpec): Promise<void> {
    const isThere = this.#known.has(spec.name);
    if (isThere && (spec.declare === 'existing' || isSame(this.#specs.get(spec.name), spec))) return;
    await this.declareOn(connection, spec);
  }

  async declareOn(connection: Connection, spec: ExchangeSpec): Promise<void> {
    await declareExchange(connection, spec);
    this.#specs.set(spec.name, spec);
    this.#known.add(spec.name);
  }

  /** Declares all exchanges again on a new connection. Never rejects: the error shows when an exchange is needed. */
  async restore(connection: Connection): Promise<void> {
    this.#known.clear();
    const restoring = [...this.#specs.values()].map((spec) => this.declareOn(connection, spec));
    await Promise.allSettled(restoring);
  }

  /** The alternate of an exchange, as it was declared here. */
  alternateOf(exchange: string): string | undefined {
    return this.#specs.get(exchange)?.alternate;
  }

  /** Called when the exchange turned out not to exist. */
  invalidate(exchange: string): void {
    this.#known.delete(exchange);
  }

  #once(
    key: string,
    what: string,
    name: string,
    make: (connection: Connection) => Promise<unknown>,
  ): Promise<unknown> {
    let underWay = this.#underWay.get(key);
    if (underWay === undefined) {
      underWay = request(this.#link, { what, name }, {}, make).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, underWay);
    }
    return underWay;
  }
}

function isSame(one: ExchangeSpec | undefined, other: ExchangeSpec): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** Like a queue, the exchange is created, must match, or is used as it is. */
async function declareExchange(connection: Connection, spec: ExchangeSpec): Promise<void> {
  const { name, type, durable, alternate } = spec;
  const assert = (channel: Channel) =>
    channel.assertExchange(name, type, {
      durable,
      ...(alternate === undefined ? {} : { alternateExchange: alternate }),
    });
  try {
    if (spec.declare === 'match' || !(await isThere(connection, spec))) {
      await onOwnChannel(connection, assert);
    }
  } catch (error) {
    throw isInterrupted(error) ? error : queueError(error, `declaring the exchange '${name}'`, name);
  }
}

/** A passive declaration needs a permission that a publisher may lack. If it is refused, the exchange counts as existing. */
async function isThere(connection: Connection, { name, declare }: ExchangeSpec): Promise<boolean> {
  try {
    await onOwnChannel(connection, (channel) => channel.checkExchange(name));
    return true;
  } catch (error) {
    if (isAccessRefused(error)) return true;
    if (declare === 'if-missing' && isNotFound(error)) return false;
    throw error;
  }
}
