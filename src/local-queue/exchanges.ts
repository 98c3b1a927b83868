import type { Binding, Destination, ExchangeSpec, ListedBinding } from '../broker.js';
import { checkRemovable } from '../common/definitions/exchange-spec.js';
import { matchesTopic, type TopicPattern, topicWords } from '../common/definitions/topic-pattern.js';
import { quote } from '../common/options.js';
import { QueueError } from '../errors.js';

/** The size of an exchange's cache of routes. Bounded, since keys may contain values that never recur. */
const MAX_ROUTES = 1000;

/** The predeclared exchanges of RabbitMQ whose types a local broker supports. */
const PREDECLARED: readonly ExchangeSpec[] = (['direct', 'fanout', 'topic'] as const).map((type) => ({
  name: `amq.${type}`,
  declare: 'match',
  type,
  durable: true,
  alternate: undefined,
}));

/** The exchanges of a local broker and their bindings, which determine the queues of a message. */
export class Exchanges<Queue> {
  readonly #exchanges = new Map<string, Exchange<Queue>>();

  constructor() {
    for (const spec of PREDECLARED) this.restore(spec);
  }

  /**
   * Throws `QUEUE_MISSING`, `QUEUE_MISMATCH`, and `INVALID_OPTION` for features that only RabbitMQ has; true: it does
   * not exist yet.
   */
  check(wanted: ExchangeSpec): boolean {
    const existing = this.#exchanges.get(wanted.name)?.spec;
    // Before the other checks: it is not just missing, it can't be declared here.
    if (existing === undefined || wanted.declare === 'match') refuseHeadersExchange(wanted);
    if (existing === undefined && wanted.declare === 'existing') throw exchangeMissing(wanted.name);
    if (existing !== undefined && wanted.declare === 'match') checkSame(wanted, existing);
    return existing === undefined;
  }

  /** Like `check`, and creates the exchange. True if it did not exist. */
  declare(spec: ExchangeSpec): boolean {
    const isNew = this.check(spec);
    if (isNew) this.restore(spec);
    return isNew;
  }

  /** Removes an exchange and its bindings. Throws `INVALID_OPTION` and `QUEUE_MISSING`. */
  remove(exchange: string): void {
    checkRemovable(exchange);
    if (!this.#exchanges.delete(exchange)) throw exchangeMissing(exchange);
  }

  /** Restores an exchange that was declared before. */
  restore(spec: ExchangeSpec): void {
    this.#exchanges.set(spec.name, new Exchange(spec));
  }

  /** The exchange must exist. False if the binding exists already. */
  bind(queue: Queue, { exchange, routingKey }: BindingName): boolean {
    return this.#exchanges.get(exchange)?.bind(queue, routingKey) ?? false;
  }

  /** False if there is no such binding. */
  unbind(queue: Queue, { exchange, routingKey }: BindingName): boolean {
    return this.#exchanges.get(exchange)?.unbind(queue, routingKey) ?? false;
  }

  /** Forgets a removed queue and its bindings. */
  forgetQueue(queue: Queue): void {
    for (const exchange of this.#exchanges.values()) exchange.forgetQueue(queue);
  }

  bindingsOf(queue: Queue): ListedBinding[] {
    const bindings: ListedBinding[] = [];
    for (const [name, exchange] of this.#exchanges) {
      for (const routingKey of exchange.keysOf(queue))
        bindings.push({ exchange: name, routingKey, arguments: {} });
    }
    return bindings;
  }

  /** The queues that receive a message, each once; undefined if the exchange does not exist. */
  route({ exchange, routingKey }: Destination): readonly Queue[] | undefined {
    const first = this.#exchanges.get(exchange);
    const queues = first?.route(routingKey);
    return queues?.length === 0 ? this.#alternateRoute(first, routingKey) : queues;
  }

  #alternateRoute(first: Exchange<Queue> | undefined, routingKey: string): readonly Queue[] {
    let found = first;
    let queues: readonly Queue[] = [];
    const seen = new Set<Exchange<Queue>>();
    while (queues.length === 0 && found !== undefined && !seen.has(found)) {
      seen.add(found);
      found = found.spec.alternate === undefined ? undefined : this.#exchanges.get(found.spec.alternate);
      queues = found?.route(routingKey) ?? queues;
    }
    return queues;
  }
}

/** A binding by the name of its exchange. */
export interface BindingName {
  readonly exchange: string;
  readonly routingKey: string;
}

export function bindingName({ exchange, routingKey }: Binding): BindingName {
  return { exchange: exchange.name, routingKey };
}

class Exchange<Queue> {
  readonly spec: ExchangeSpec;
  /** By routing key or pattern. */
  readonly #bindings = new Map<Queue, Map<string, TopicPattern>>();
  readonly #routes = new Map<string, readonly Queue[]>();

  constructor(spec: ExchangeSpec) {
    this.spec = spec;
  }

  bind(queue: Queue, routingKey: string): boolean {
    const patterns = this.#bindings.get(queue) ?? new Map<string, TopicPattern>();
    if (patterns.has(routingKey)) return false;
    patterns.set(routingKey, topicWords(routingKey));
    this.#bindings.set(queue, patterns);
    this.#routes.clear();
    return true;
  }

  unbind(queue: Queue, routingKey: string): boolean {
    this.#routes.clear();
    return this.#bindings.get(queue)?.delete(routingKey) ?? false;
  }

  forgetQueue(queue: Queue): void {
    this.#bindings.delete(queue);
    this.#routes.clear();
  }

  /** The keys and patterns by which the queue is bound. */
  keysOf(queue: Queue): Iterable<string> {
    return this.#bindings.get(queue)?.keys() ?? [];
  }

  route(routingKey: string): readonly Queue[] {
    let queues = this.#routes.get(routingKey);
    if (queues === undefined) {
      queues = this.#find(routingKey);
      if (this.#routes.size >= MAX_ROUTES) this.#routes.clear();
      this.#routes.set(routingKey, queues);
    }
    return queues;
  }

  #find(routingKey: string): readonly Queue[] {
    const words = topicWords(routingKey);
    const queues: Queue[] = [];
    for (const [queue, patterns] of this.#bindings) {
      if (this.#takes(patterns, routingKey, words)) queues.push(queue);
    }
    return queues;
  }

  #takes(patterns: ReadonlyMap<string, TopicPattern>, routingKey: string, words: TopicPattern): boolean {
    const { type } = this.spec;
    if (type === 'fanout') return patterns.size > 0;
    if (type !== 'topic') return patterns.has(routingKey);
    for (const pattern of patterns.values()) if (matchesTopic(pattern, words)) return true;
    return false;
  }
}

function refuseHeadersExchange({ name, type }: ExchangeSpec): void {
  if (type !== 'headers') return;
  throw new QueueError(
    'INVALID_OPTION',
    `the exchange ${quote(name)} is of type 'headers', which only RabbitMQ supports; use 'topic' on a local broker`,
  );
}

function checkSame(wanted: ExchangeSpec, existing: ExchangeSpec): void {
  for (const property of ['type', 'durable', 'alternate'] as const) {
    if (wanted[property] === existing[property]) continue;
    throw new QueueError(
      'QUEUE_MISMATCH',
      `the exchange ${quote(wanted.name)} exists with ${property} ${quote(existing[property])}, not ${quote(wanted[property])}: ` +
        "define it the same everywhere, or use it as it is with declare: 'existing'",
    );
  }
}

function exchangeMissing(name: string): QueueError {
  return new QueueError(
    'QUEUE_MISSING',
    `there is no exchange ${quote(name)} on the local broker: declare it first, or check the name`,
  );
}
