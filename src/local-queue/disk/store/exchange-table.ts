import type { Destination, ExchangeSpec, ListedBinding, QueueSpec } from '../../../broker.js';
import { quote } from '../../../common/options.js';
import { bindingName, Exchanges } from '../../exchanges.js';
import type { Database } from './database.js';
import type { QueueTable, StoredQueue } from './queue-table.js';
import type { Statements } from './sqlite.js';

const SQL = {
  exchanges: 'SELECT definition FROM exchanges',
  bindings: 'SELECT exchange, queue, routing_key FROM bindings',
  insert: 'INSERT INTO exchanges (name, definition) VALUES (?, ?)',
  remove: 'DELETE FROM exchanges WHERE name = ?',
  removeBindings: 'DELETE FROM bindings WHERE exchange = ?',
  bind: 'INSERT OR IGNORE INTO bindings (exchange, queue, routing_key) VALUES (?, ?, ?)',
  unbind: 'DELETE FROM bindings WHERE exchange = ? AND queue = ? AND routing_key = ?',
};

/**
 * The exchanges of the store and their bindings. Like the definitions of queues they are kept in memory, and read again
 * when another process has changed any definition. Queues are known by their ids: one that is removed is not there any
 * more, and one that is made again under its name is another.
 */
export class ExchangeTable {
  readonly #sql: Statements<typeof SQL>;
  readonly #queues: QueueTable;
  #exchanges = new Exchanges<number>();
  /** The revision of the definitions that this one was read with, as counted by the queues. */
  #reading = -1;

  constructor(database: Database, queues: QueueTable) {
    this.#sql = database.prepareAll(SQL);
    this.#queues = queues;
    queues.onRemoved = ({ id }) => this.#exchanges.forgetQueue(id);
  }

  /** The stored definitions. Read on demand: few messages go through an exchange. */
  get #current(): Exchanges<number> {
    if (this.#reading === this.#queues.readings) return this.#exchanges;
    this.#exchanges = new Exchanges();
    for (const [definition] of this.#sql.exchanges.all()) this.#exchanges.restore(specOf(String(definition)));
    for (const [exchange, queue, routingKey] of this.#sql.bindings.all()) {
      this.#exchanges.bind(Number(queue), { exchange: String(exchange), routingKey: String(routingKey) });
    }
    this.#reading = this.#queues.readings;
    return this.#exchanges;
  }

  /** The transaction failed: everything read or created in it is invalid. */
  forget(): void {
    this.#reading = -1;
  }

  /** Throws `QUEUE_MISSING`, `QUEUE_MISMATCH` and `INVALID_OPTION`. */
  declare(spec: ExchangeSpec): void {
    if (!this.#current.declare(spec)) return;
    this.#sql.insert.run(spec.name, JSON.stringify(spec));
    this.#queues.changed();
  }

  /** Removes an exchange and its bindings. Throws `INVALID_OPTION` and `QUEUE_MISSING`. */
  remove(exchange: string): void {
    this.#current.remove(exchange);
    this.#sql.remove.run(exchange);
    this.#sql.removeBindings.run(exchange);
    this.#queues.changed();
  }

  /** Throws as `declare` does, for the exchanges in a queue's bindings; creates nothing. */
  check({ bindings = [] }: Pick<QueueSpec, 'bindings'>): void {
    for (const { exchange } of bindings) this.#current.check(exchange);
  }

  /** Binds a queue, and removes the bindings in its `unbind`. True if any of those existed. */
  bind({ id }: StoredQueue, { bindings = [], unbind = [] }: Partial<QueueSpec>): boolean {
    let hasUnbound = false;
    for (const { exchange, routingKey } of unbind.map(bindingName)) {
      if (!this.#current.unbind(id, { exchange, routingKey })) continue;
      this.#sql.unbind.run(exchange, id, routingKey);
      this.#queues.changed();
      hasUnbound = true;
    }
    for (const binding of bindings) {
      this.declare(binding.exchange);
      const { exchange, routingKey } = bindingName(binding);
      if (!this.#current.bind(id, { exchange, routingKey })) continue;
      this.#sql.bind.run(exchange, id, routingKey);
      this.#queues.changed();
    }
    return hasUnbound;
  }

  bindingsOf({ id }: StoredQueue): ListedBinding[] {
    return this.#current.bindingsOf(id);
  }

  /** The queues that take a message, each once; undefined: there is no such exchange. */
  route(to: Destination): StoredQueue[] | undefined {
    return this.#current
      .route(to)
      ?.map((id) => this.#queues.byId(id))
      .filter((queue) => queue !== undefined);
  }
}

/** Throws for a text that is not a definition. */
function specOf(text: string): ExchangeSpec {
  try {
    const spec: ExchangeSpec = JSON.parse(text);
    if (typeof spec.name === 'string' && typeof spec.type === 'string') return spec;
  } catch {
    // Reported below.
  }
  throw new TypeError(`the definition of an exchange can't be read: ${quote(text)}`);
}
