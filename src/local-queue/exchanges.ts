import type { Binding, Destination, ExchangeSpec, ListedBinding } from '../broker.js';
import { quote } from '../common/options.js';
import { matchesTopic, type TopicPattern, topicWords } from '../common/topic-pattern.js';
import { QueueError } from '../errors.js';

/** A binding as its exchange keeps it. */
interface Bound {
  readonly queue: string;
  readonly routingKey: string;
  readonly words: TopicPattern;
}

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

/** The exchanges of a local broker and their bindings, which determine the queues of a message. Queues are names here. */
export class Exchanges {
  readonly #exchanges = new Map<string, Exchange>();

  constructor() {
    for (const spec of PREDECLARED) this.#exchanges.set(spec.name, new Exchange(spec));
  }

  /** Throws `QUEUE_MISSING`, `QUEUE_MISMATCH`, and `INVALID_OPTION` for what only RabbitMQ has; true: it is not there yet. */
  check(wanted: ExchangeSpec): boolean {
    const existing = this.#exchanges.get(wanted.name)?.spec;
    if (existing === undefined && wanted.declare === 'existing') throw exchangeMissing(wanted.name);
    if (existing === undefined || wanted.declare === 'match') refuseHeadersExchange(wanted);
    if (existing !== undefined && wanted.declare === 'match') checkSame(wanted, existing);
    return existing === undefined;
  }

  /** Like `check`, and creates the exchange. True if it did not exist. */
  declare(spec: ExchangeSpec): boolean {
    const isNew = this.check(spec);
    if (isNew) this.#exchanges.set(spec.name, new Exchange(spec));
    return isNew;
  }

  /** Restores an exchange that was declared before. */
  restore(spec: ExchangeSpec): void {
    this.#exchanges.set(spec.name, new Exchange(spec));
  }

  /** The exchange must exist. False if the binding exists already. */
  bind(queue: string, { exchange, routingKey }: BindingName): boolean {
    return this.#exchanges.get(exchange)?.bind(queue, routingKey) ?? false;
  }

  /** False if there is no such binding. */
  unbind(queue: string, { exchange, routingKey }: BindingName): boolean {
    return this.#exchanges.get(exchange)?.unbind(queue, routingKey) ?? false;
  }

  /** Forgets a removed queue and its bindings. */
  forgetQueue(queue: string): void {
    for (const exchange of this.#exchanges.values()) exchange.forgetQueue(queue);
  }

  bindingsOf(queue: string): ListedBinding[] {
    const bindings: ListedBinding[] = [];
    for (const [name, exchange] of this.#exchanges) {
      for (const routingKey of exchange.keysOf(queue))
        bindings.push({ exchange: name, routingKey, arguments: {} });
    }
    return bindings;
  }

  /** The queues that receive a message, each once; undefined if the exchange does not exist. */
  route({ exchange, routingKey }: Destination): readonly string[] | undefined {
    let found = this.#exchanges.get(exchange);
    if (found === undefined) return undefined;
    let queues = found.route(routingKey);
    const seen = new Set<Exchange>();
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

class Exchange {
  readonly spec: ExchangeSpec;
  readonly #bindings = new Map<string, Bound>();
  readonly #routes = new Map<string, readonly string[]>();

  constructor(spec: ExchangeSpec) {
    this.spec = spec;
  }

  bind(queue: string, routingKey: string): boolean {
    const key = keyOf(queue, routingKey);
    if (this.#bindings.has(key)) return false;
    this.#bindings.set(key, { queue, routingKey, words: topicWords(routingKey) });
    this.#routes.clear();
    return true;
  }

  unbind(queue: string, routingKey: string): boolean {
    this.#routes.clear();
    return this.#bindings.delete(keyOf(queue, routingKey));
  }

  forgetQueue(queue: string): void {
    for (const [key, bound] of this.#bindings) if (bound.queue === queue) this.#bindings.delete(key);
    this.#routes.clear();
  }

  /** The keys and patterns by which the queue is bound. */
  *keysOf(queue: string): Iterable<string> {
    for (const bound of this.#bindings.values()) if (bound.queue === queue) yield bound.routingKey;
  }

  route(routingKey: string): readonly string[] {
    let queues = this.#routes.get(routingKey);
    if (queues === undefined) {
      queues = this.#find(routingKey);
      if (this.#routes.size >= MAX_ROUTES) this.#routes.clear();
      this.#routes.set(routingKey, queues);
    }
    return queues;
  }

  #find(routingKey: string): readonly string[] {
    const { type } = this.spec;
    const words = topicWords(routingKey);
    const queues = new Set<string>();
    for (const bound of this.#bindings.values()) {
      const takes =
        type === 'fanout' ||
        (type === 'topic' ? matchesTopic(bound.words, words) : bound.routingKey === routingKey);
      if (takes) queues.add(bound.queue);
    }
    return [...queues];
  }
}

function keyOf(queue: string, routingKey: string): string {
  return JSON.stringify([queue, routingKey]);
}

function refuseHeadersExchange({ name, type }: ExchangeSpec): void {
  if (type !== 'headers') return;
  throw new QueueError(
    'INVALID_OPTION',
    `the exchange ${quote(name)} is of type 'headers', which only RabbitMQ has; use 'topic' on a local broker`,
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
    `there is no exchange ${quote(name)} on the local broker: declare it first`,
  );
}
