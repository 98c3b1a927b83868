import type { Binding, QueueSpec } from '../../broker.js';
import { isInterrupted, queueError } from '../connection/broker-errors.js';
import type { Connection } from '../connection/connection.js';
import { onOwnChannel } from '../connection/request.js';
import type { Exchanges } from './exchanges.js';

/**
 * The bindings of this process's queues. RabbitMQ drops the bindings of a deleted queue, and AMQP can't list them. So each
 * declaration of a queue binds it again, which has no effect on existing bindings.
 */
export class Bindings {
  readonly #exchanges: Exchanges;
  /** The bindings of all definitions of a queue, by queue: there may be several definitions, some without bindings. */
  readonly #wanted = new Map<string, Map<string, Binding>>();
  /** The queues with bindings to each exchange, or that once had some. */
  readonly #queuesOf = new Map<string, Set<string>>();

  constructor(exchanges: Exchanges) {
    this.#exchanges = exchanges;
  }

  /** Declares the exchanges of a queue's bindings. */
  async declareExchangesOn(connection: Connection, { bindings = [] }: QueueSpec): Promise<void> {
    for (const { exchange } of bindings) await this.#exchanges.ensureOn(connection, exchange);
  }

  /** Binds an existing queue. Rejects with `QUEUE_MISSING` if an exchange is missing. */
  async declareOn(
    connection: Connection,
    { name, bindings = [], unbind = [] }: Pick<QueueSpec, 'name' | 'bindings' | 'unbind'>,
  ): Promise<void> {
    const wanted = this.#wanted.get(name) ?? new Map<string, Binding>();
    for (const binding of unbind) wanted.delete(keyOf(binding));
    for (const binding of bindings) {
      wanted.set(keyOf(binding), binding);
      this.#note(binding.exchange.name, name);
    }
    if (wanted.size > 0) this.#wanted.set(name, wanted);
    for (const { exchange } of wanted.values()) {
      await this.#exchanges.ensureOn(connection, exchange);
    }
    await bindAll(connection, name, wanted.values());
    // Unbinding comes last, so that messages which match both an old and a new binding always arrive.
    for (const binding of unbind) await unbindFrom(connection, name, binding);
  }

  /** Whether the queue has bindings that could be lost. */
  has(queue: string): boolean {
    return this.#wanted.has(queue);
  }

  /** The queues of this process that may be bound to the exchange. */
  queuesOf(exchange: string): Iterable<string> {
    return this.#queuesOf.get(exchange) ?? [];
  }

  /** The queue was removed. */
  forget(queue: string): void {
    this.#wanted.delete(queue);
    for (const [exchange, queues] of this.#queuesOf) {
      queues.delete(queue);
      if (queues.size === 0) this.#queuesOf.delete(exchange);
    }
  }

  #note(exchange: string, queue: string): void {
    const queues = this.#queuesOf.get(exchange);
    if (queues === undefined) this.#queuesOf.set(exchange, new Set([queue]));
    else queues.add(queue);
  }
}

function keyOf({ exchange, routingKey, arguments: args }: Binding): string {
  return JSON.stringify([exchange.name, routingKey, args]);
}

/** More than there are channels for requests, so that these stay open from one to the next. */
const BINDINGS_AT_ONCE = 8;

/** Several at once: the broker stores each one on its disk before it answers, and a queue may have thousands. */
async function bindAll(connection: Connection, queue: string, bindings: Iterator<Binding>): Promise<void> {
  const refusals: unknown[] = [];
  const bindSome = async () => {
    // After a refusal, none of the others begins another one.
    for (let next = bindings.next(); next.done !== true && refusals.length === 0; next = bindings.next())
      await bind(connection, queue, next.value).catch((error) => refusals.push(error));
  };
  await Promise.all(Array.from({ length: BINDINGS_AT_ONCE }, bindSome));
  if (refusals.length > 0) throw refusals[0];
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
    // RabbitMQ reports no error if the binding, the queue or the exchange does not exist.
    await onOwnChannel(connection, (channel) => channel.unbindQueue(queue, exchange.name, routingKey, args));
  } catch (error) {
    throw refusalOf(error, queue, binding);
  }
}

function refusalOf(error: unknown, queue: string, { exchange, routingKey }: Binding): unknown {
  if (isInterrupted(error)) return error;
  return queueError(error, `binding '${queue}' to '${exchange.name}' with '${routingKey}'`, exchange.name);
}
