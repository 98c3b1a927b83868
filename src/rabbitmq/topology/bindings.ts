import type { Binding, QueueSpec } from '../../broker.js';
import { isInterrupted, queueError } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import { onOwnChannel } from '../connection/request.js';
import type { Exchanges } from './exchanges.js';

/**
 * How the queues of this process are bound. RabbitMQ drops the bindings of a queue along with it, and cannot say which it
 * has. So all of them are made anew with each declaration of the queue, which costs nothing where they are there.
 */
export class Bindings {
  readonly #exchanges: Exchanges;
  /** What all definitions of a queue want, by queue: two may be of the same queue, and only one name its bindings. */
  readonly #wanted = new Map<string, Map<string, Binding>>();

  constructor(exchanges: Exchanges) {
    this.#exchanges = exchanges;
  }

  /** Declares the exchanges that a queue is to be bound to. */
  async declareExchangesOn(connection: Connection, { bindings = [] }: QueueSpec): Promise<void> {
    for (const { exchange } of bindings) await this.#exchanges.ensureOn(connection, exchange);
  }

  /** Binds the queue, which is there. Rejects with `QUEUE_MISSING` for an exchange. */
  async declareOn(
    connection: Connection,
    { name, bindings = [], unbind = [] }: Pick<QueueSpec, 'name' | 'bindings' | 'unbind'>,
  ): Promise<void> {
    const wanted = this.#wanted.get(name) ?? new Map<string, Binding>();
    for (const binding of unbind) wanted.delete(keyOf(binding));
    for (const binding of bindings) wanted.set(keyOf(binding), binding);
    if (wanted.size > 0) this.#wanted.set(name, wanted);
    for (const { exchange } of wanted.values()) {
      await this.#exchanges.ensureOn(connection, exchange);
    }
    for (const binding of wanted.values()) await bind(connection, name, binding);
    // Last, so that a message which an old and a new binding both match gets through meanwhile.
    for (const binding of unbind) await unbindFrom(connection, name, binding);
  }

  /** Whether the queue has bindings that may be lost. */
  has(queue: string): boolean {
    return this.#wanted.has(queue);
  }

  /** The queue was removed. */
  forget(queue: string): void {
    this.#wanted.delete(queue);
  }
}

function keyOf({ exchange, routingKey, arguments: args }: Binding): string {
  return JSON.stringify([exchange.name, routingKey, args]);
}

async function bind(connection: Connection, queue: string, binding: Binding): Promise<void> {
  const { exchange, routingKey, arguments: args } = binding;
  try {
    await onOwnChannel(connection, (channel) => channel.bindQueue(queue, exchange.name, routingKey, args));
  } catch (error) {
    throw refusalOf(error, queue, binding);
  }
}

async function unbindFrom(connection: Connection, queue: string, binding: Binding): Promise<void> {
  const { exchange, routingKey, arguments: args } = binding;
  try {
    // No error of RabbitMQ where there is no such binding, queue or exchange.
    await onOwnChannel(connection, (channel) => channel.unbindQueue(queue, exchange.name, routingKey, args));
  } catch (error) {
    throw refusalOf(error, queue, binding);
  }
}

function refusalOf(error: unknown, queue: string, { exchange, routingKey }: Binding): unknown {
  if (isInterrupted(error)) return error;
  return queueError(error, `binding '${queue}' to '${exchange.name}' with '${routingKey}'`, exchange.name);
}
