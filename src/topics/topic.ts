import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { DeclareMode, QueueSpec } from '../broker.js';
import { checkRoutingKey, type Exchange, exchangeSpec } from '../common/definitions/exchange-spec.js';
import { queueSpec } from '../common/definitions/queue-spec.js';
import type { Codec } from '../common/encoding/codec.js';
import type { Compression } from '../common/encoding/content-encoding.js';
import { checkOptionNames, invalidOption, quote, wordOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import { defineQueue, type Queue } from '../queue.js';

/** The schemas of a topic's events, by the names of the events. */
export type EventSchemas = Readonly<Record<string, StandardSchemaV1>>;

/** The value that the publisher of each event passes. */
export type EventInputs<Schemas extends EventSchemas> = {
  readonly [Event in keyof Schemas & string]: StandardSchemaV1.InferInput<Schemas[Event]>;
};

/** The value that the handler of each event receives. */
export type EventOutputs<Schemas extends EventSchemas> = {
  readonly [Event in keyof Schemas & string]: StandardSchemaV1.InferOutput<Schemas[Event]>;
};

/** Options of {@link defineTopic}. All have defaults. */
export interface TopicOptions {
  /**
   * What to do with an event that no subscription takes. `'ignore'` (default): it is dropped, and `publish` resolves
   * with `routed: false`. `'error'`: `publish` rejects with `UNROUTABLE`. `'keep'`: it is stored in the queue
   * `<topic>.unrouted`, which the first publisher, or `millrace topology apply`, creates: events that other programs
   * publish before that are dropped. To change `'keep'` later, the exchange has to be removed and declared again: `millrace
   * remove -e TOPIC`.
   */
  readonly unrouted?: 'ignore' | 'error' | 'keep' | undefined;
  /** What to do if an exchange of this name already exists. Default: `'match'`. */
  readonly declare?: DeclareMode | undefined;
  /** How values become message bodies: `'json'` (default), `'structured'`, or a codec of your own. */
  readonly codec?: 'json' | 'structured' | Codec | undefined;
  /** How publishers compress the bodies, as in `QueueOptions`. Default: no compression. */
  readonly compress?: Compression | undefined;
}

/** Events that are copied to any number of subscriptions. Created by {@link defineTopic}. */
export interface Topic<Schemas extends EventSchemas = EventSchemas> {
  /** The name of the topic exchange at the broker. */
  readonly name: string;
  /** The definition of that exchange. */
  readonly exchange: Exchange;
  /** As in {@link TopicOptions}. */
  readonly unrouted: 'ignore' | 'error' | 'keep';
  /** How the values of each event are encoded and decoded. */
  readonly events: { readonly [Event in keyof Schemas & string]: EventValues };
  /** With `unrouted: 'keep'`: the queue for events without a subscription. */
  readonly unroutedQueue: QueueSpec | undefined;
  /** As in {@link TopicOptions}. */
  readonly compress: Compression | undefined;
  /** For the compiler only. */
  readonly schemas?: Schemas | undefined;
}

/** The internal data of an event. */
export type EventValues = Pick<Queue<unknown, unknown>, 'encode' | 'decode' | 'schema' | 'contentType'>;

/**
 * Defines a topic and the schemas of its events. Publishers publish events by name, and each subscription receives
 * copies of the events that it selects. Nothing is declared yet.
 *
 * ```ts
 * const shop = defineTopic('shop', {
 *   'order.placed': z.object({ id: z.string(), total: z.number() }),
 *   'order.cancelled': z.object({ id: z.string(), why: z.string() }),
 * });
 * ```
 *
 * On the broker a topic is a durable exchange of type `topic`, and the routing key is the name of the event, so that
 * programs without millrace can publish and subscribe as well. Throws `INVALID_OPTION`.
 */
export function defineTopic<const Schemas extends EventSchemas>(
  name: string,
  events: Schemas,
  options: TopicOptions = {},
): Topic<Schemas> {
  checkOptionNames('defineTopic', options, ['unrouted', 'declare', 'codec', 'compress']);
  const unrouted = wordOption('unrouted', options.unrouted, ['ignore', 'error', 'keep'], 'ignore');
  const unroutedName = `${name}.${UNROUTED}`;
  const spec = exchangeSpec(name, {
    type: 'topic',
    declare: options.declare,
    alternate: unrouted === 'keep' ? unroutedName : undefined,
  });
  if (typeof events !== 'object' || events === null || Object.keys(events).length === 0) {
    throw invalidOption('events', 'an object with the schema of each event', events);
  }
  const values = Object.entries(events).map(([event, schema]) => {
    checkEventName(event);
    // The code that encodes and decodes the values of a queue does it for an event.
    const { encode, decode, contentType } = defineQueue(labelOf(name, event), schema, {
      codec: options.codec,
      compress: options.compress,
      deadLetter: false,
    });
    return [event, { encode, decode, schema, contentType } as EventValues] as const;
  });
  return {
    name,
    exchange: { name, spec },
    unrouted,
    compress: options.compress,
    // Own properties of any name, `__proto__` included, stay what they are.
    events: Object.fromEntries(values) as Topic<Schemas>['events'],
    unroutedQueue: unrouted === 'keep' ? unroutedSpec(unroutedName) : undefined,
  };
}

/** The name of the queue and exchange of `unrouted: 'keep'`. */
export const UNROUTED = 'unrouted';

/** The queue of `unrouted: 'keep'`, by its name. */
export function unroutedSpec(name: string): QueueSpec {
  const exchange = { name, spec: exchangeSpec(name, { type: 'fanout' }) };
  return queueSpec(name, { bindings: [{ exchange }], capacity: Number.POSITIVE_INFINITY });
}

/** Throws `INVALID_OPTION`. */
function checkEventName(event: string): void {
  checkRoutingKey(`the event ${quote(event)}`, event);
  if (event !== '' && event.split('.').every((word) => word !== '' && word !== '*' && word !== '#')) return;
  throw new QueueError(
    'INVALID_OPTION',
    `the event ${quote(event)}: the name of an event is words between dots, and none of them is empty, '*' or '#'`,
  );
}

/** The name of an event in errors. */
function labelOf(topic: string, event: string): string {
  const label = `${topic} ${event}`;
  return Buffer.byteLength(label) <= 255 ? label : event;
}
