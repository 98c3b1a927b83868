import { randomUUID } from 'node:crypto';
import type { Message } from '../broker.js';
import { bindingsOption } from '../common/definitions/exchange-spec.js';
import { type QueueOptions, queueSpec } from '../common/definitions/queue-spec.js';
import { matchesTopic, topicWords } from '../common/definitions/topic-pattern.js';
import { invalidOption, quote } from '../common/options.js';
import { QueueError } from '../errors.js';
import type { DecodedValue, EventQueue, EventSchema } from '../queue.js';
import type { Checked, Matching } from './matching.js';
import { type EventOutputs, type EventSchemas, type EventValues, type Topic, UNROUTED } from './topic.js';

/** The events of a subscription, and the options of its queue. */
export interface SubscriptionOptions<Pattern extends string = string>
  extends Omit<
    QueueOptions,
    'codec' | 'compress' | 'bindings' | 'unbind' | 'exclusive' | 'autoDelete' | 'durable'
  > {
  /**
   * The events to receive, by name or by pattern: `*` stands for one word of the name, `#` for any number of words. A
   * pattern that matches no event of the topic does not compile.
   */
  readonly to: readonly Pattern[];
  /** Patterns of an earlier definition that are no longer wanted. They are removed when the queue is declared. */
  readonly unbind?: readonly string[] | undefined;
}

/** The options of {@link defineSubscription} for a subscription per process. */
export interface ProcessSubscriptionOptions<Pattern extends string = string> {
  /** Each consuming process receives a copy of each event while it runs. */
  readonly each: 'process';
  /** As in {@link SubscriptionOptions}. */
  readonly to: readonly Pattern[];
  /** How many events may wait for this process, on local brokers. Default: 1024 in memory, no limit on disk. */
  readonly capacity?: number | undefined;
}

/** A queue that receives copies of some events of a topic. It can be used wherever a queue is expected. */
export interface Subscription<Events extends object = Record<string, unknown>> extends EventQueue<Events> {
  /** The name of the topic. */
  readonly topic: string;
}

type Names<Schemas extends EventSchemas> = keyof Schemas & string;

type Subscribed<Schemas extends EventSchemas, Pattern extends string> = Subscription<
  Pick<EventOutputs<Schemas>, Matching<Pattern, Names<Schemas>>>
>;

/**
 * A queue that receives a copy of each event that matches one of its patterns, from the time it is first declared. Its
 * name on the broker is `<topic>.<name>`. Its consumers share the events; each other subscription has its own copies.
 *
 * ```ts
 * const billing = defineSubscription(shop, 'billing', { to: ['order.*'] });
 * createConsumer(broker, billing, {
 *   handlers: {
 *     'order.placed': (order) => invoice(order),
 *     'order.cancelled': ({ id }) => cancelInvoice(id),
 *   },
 * });
 * ```
 *
 * Retries and dead letters are the subscription's own: the others never see them. Throws `INVALID_OPTION`.
 */
export function defineSubscription<Schemas extends EventSchemas, const Pattern extends string>(
  topic: Topic<Schemas>,
  name: string,
  options: SubscriptionOptions<Checked<Pattern, Names<Schemas>> & Pattern>,
): Subscribed<Schemas, Pattern>;

/**
 * A subscription per process, for caches and the like. Its queue is deleted with the connection, and has no dead
 * letters. Events published without a connection are missed: `resubscribed` reports such a gap.
 *
 * ```ts
 * const changes = defineSubscription(shop, { each: 'process', to: ['price.changed'] });
 * ```
 */
export function defineSubscription<Schemas extends EventSchemas, const Pattern extends string>(
  topic: Topic<Schemas>,
  options: ProcessSubscriptionOptions<Checked<Pattern, Names<Schemas>> & Pattern>,
): Subscribed<Schemas, Pattern>;

export function defineSubscription(
  topic: Topic,
  ...given: [name: string, options: SubscriptionOptions] | [options: ProcessSubscriptionOptions]
): Subscription {
  const [name, options] = given.length === 1 ? [undefined, given[0]] : given;
  if (typeof options !== 'object' || options === null) {
    throw invalidOption('options', "an object with the patterns: { to: ['order.*'] }", options);
  }
  const { to } = options;
  const events = matchingEvents(topic, to);
  const bindings = toBindings(topic, to);
  if (name === undefined) return processSubscription(topic, events, bindings, options);
  if (typeof name !== 'string' || name === '')
    throw invalidOption('name', 'a name of the subscription', name);
  if (name === UNROUTED)
    throw invalidOption(
      'name',
      `another name: '${topic.name}.${UNROUTED}' is reserved for events without a subscription`,
      name,
    );
  const { to: _, unbind = [], ...queueOptions } = options as SubscriptionOptions;
  const spec = queueSpec(`${topic.name}.${name}`, {
    ...queueOptions,
    bindings,
    ...(unbind.length > 0 && { unbind: toBindings(topic, unbind) }),
  });
  return new TopicSubscription(topic.name, spec, events);
}

function processSubscription(
  topic: Topic,
  events: ReadonlyMap<string, EventValues>,
  bindings: ReturnType<typeof toBindings>,
  options: ProcessSubscriptionOptions | SubscriptionOptions,
): Subscription {
  const { to: _, each, ...others } = options as ProcessSubscriptionOptions;
  if (each !== 'process') throw invalidOption('each', "'process', or a name for the subscription", each);
  const spec = queueSpec(`${topic.name}.process-${randomUUID()}`, {
    ...others,
    type: 'classic',
    durable: false,
    exclusive: true,
    autoDelete: true,
    deadLetter: false,
    bindings,
  });
  return new TopicSubscription(topic.name, spec, events);
}

class TopicSubscription implements Subscription {
  readonly topic: string;
  readonly name: string;
  readonly spec: EventQueue<object>['spec'];
  readonly events: readonly string[];
  readonly schemas: Readonly<Record<string, EventSchema>>;
  readonly #values: ReadonlyMap<string, EventValues>;

  constructor(topic: string, spec: EventQueue<object>['spec'], events: ReadonlyMap<string, EventValues>) {
    this.topic = topic;
    this.name = spec.name;
    this.spec = spec;
    this.events = [...events.keys()];
    this.schemas = Object.fromEntries(events);
    this.#values = events;
  }

  // Own properties, so that a copy of a definition still has them.
  readonly encode = (): never => {
    throw new QueueError(
      'INVALID_MESSAGE',
      `'${this.name}' is a subscription: publish an event to the topic '${this.topic}' with createPublisher`,
    );
  };

  readonly decode = (
    message: Message,
    maxBytes?: number,
  ): DecodedValue<unknown> | Promise<DecodedValue<unknown>> => {
    const event = this.eventOf({ type: message.type, routingKey: message.origin?.routingKey });
    const values = event === undefined ? undefined : this.#values.get(event);
    if (values !== undefined) return values.decode(message, maxBytes);
    const named = message.type ?? message.origin?.routingKey;
    const error = `the subscription has no event ${quote(named)}, only ${this.events.map(quote).join(', ')}; if a binding is left over, name its pattern in unbind`;
    return { ok: false, failure: { code: 'invalid', error } };
  };

  readonly eventOf = (said: {
    readonly type?: string | undefined;
    readonly routingKey?: string | undefined;
  }): string | undefined => {
    for (const name of [said.type, said.routingKey]) {
      if (name !== undefined && this.#values.has(name)) return name;
    }
    return undefined;
  };
}

/** The events that a pattern matches. Throws `INVALID_OPTION` for one that matches none. */
function matchingEvents(topic: Topic, patterns: readonly string[]): ReadonlyMap<string, EventValues> {
  if (!Array.isArray(patterns) || patterns.length === 0) {
    throw invalidOption('to', 'a list of events or patterns, at least one', patterns);
  }
  const events = Object.entries(topic.events);
  const matching = new Map<string, EventValues>();
  for (const pattern of patterns) {
    const words = typeof pattern === 'string' ? topicWords(pattern) : undefined;
    const found = events.filter(([name]) => words !== undefined && matchesTopic(words, topicWords(name)));
    if (found.length === 0) {
      const names = events.map(([name]) => quote(name)).join(', ');
      throw new QueueError(
        'INVALID_OPTION',
        `to: no event of the topic '${topic.name}' matches ${quote(pattern)}; the events are ${names}`,
      );
    }
    for (const [name, values] of found) matching.set(name, values);
  }
  return matching;
}

function toBindings({ exchange }: Topic, patterns: readonly string[]) {
  const bindings = patterns.map((routingKey) => ({ exchange, routingKey }));
  // Checks the keys.
  bindingsOption('to', bindings);
  return bindings;
}
