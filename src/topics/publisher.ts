import type { Backend, Broker, Message, WaitOptions } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { invalidOption, quote } from '../common/options.js';
import { isQueueError, QueueError } from '../errors.js';
import type { SkippedValues } from '../producer/each-value.js';
import {
  type ProducerOptions,
  type SendManyOptions,
  type SendOptions,
  senderSettings,
} from '../producer/producer.js';
import { Sender, type SenderSettings } from '../producer/sender.js';
import type { Values } from '../producer/value-source.js';
import type { EncodedValue } from '../queue.js';
import type { EventInputs, EventSchemas, EventValues, Topic } from './topic.js';

/** Options of `publish`: those of `send`, but no address for a reply, and no type, which is the event. */
export type PublishEventOptions = Omit<SendOptions, 'replyTo' | 'type'>;

/** Like {@link PublishEventOptions}, for each of the events; ids are always new. */
export type PublishManyOptions<Inputs extends object = Record<string, unknown>> = Omit<
  SendManyOptions<EventOf<Inputs>>,
  'replyTo' | 'type'
>;

/** The result of `publish`. */
export interface PublishResult {
  /** The message's id: the one given, or a new UUID. All copies have it. */
  readonly id: string;
  /** Whether any subscription received a copy; with `unrouted: 'keep'`, whether any queue did. */
  readonly routed: boolean;
}

/** The result of `publishMany`. */
export interface PublishManyResult {
  /** How many events were published: all that the iterable gave. */
  readonly published: number;
  /** How many of them were received by any subscription. */
  readonly routed: number;
  /** Set with `onInvalid: 'skip'`. */
  readonly skipped?: SkippedValues | undefined;
}

/** An event and its value. */
export type EventOf<Inputs extends object> = {
  [Event in keyof Inputs & string]: readonly [event: Event, value: Inputs[Event]];
}[keyof Inputs & string];

/** Publishes the events of one topic. Created by {@link createPublisher}; need not be closed. */
export interface Publisher<Inputs extends object> {
  /**
   * Resolves when each subscription that takes the event has stored its copy: in memory, flushed to disk, or confirmed
   * by RabbitMQ. Local brokers store all copies at once or none, and wait for room in all bounded subscriptions.
   * RabbitMQ stores them one by one: if a subscription refuses its copy because it is full, this rejects with
   * `UNCONFIRMED`, and the other subscriptions have theirs. The event is not sent again automatically in that case.
   *
   * Rejects: `INVALID_MESSAGE` and `TOO_LARGE` before any I/O; `TIMEOUT`, `ABORTED`, `CLOSED` if nothing was stored;
   * `UNROUTABLE` with `unrouted: 'error'`; `UNCONFIRMED` if the event may have been stored in some or all subscriptions
   * (publish it again with the same `id`, by which consumers can deduplicate).
   */
  publish<Event extends keyof Inputs & string>(
    event: Event,
    value: Inputs[Event],
    options?: PublishEventOptions,
  ): Promise<PublishResult>;

  /**
   * Publishes many events, each a pair of its name and its value, in order. Like `sendMany`, it keeps as many messages
   * in flight as the window of unconfirmed messages allows. Stops at the first error, and rejects with it and its
   * `progress`.
   */
  publishMany(
    events: Values<EventOf<Inputs>>,
    options?: PublishManyOptions<Inputs>,
  ): Promise<PublishManyResult>;
}

/**
 * A publisher for one topic.
 *
 * ```ts
 * const publisher = createPublisher(broker, shop);
 * const { id, routed } = await publisher.publish('order.placed', { id: 'A-1', total: 12.5 });
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function createPublisher<Schemas extends EventSchemas>(
  broker: Broker,
  topic: Topic<Schemas>,
  options?: ProducerOptions,
): Publisher<EventInputs<Schemas>> {
  const settings = senderSettings('createPublisher', options);
  // Inside, the types of events and values are unknown.
  return new TopicPublisher(backendOf(broker), topic, settings) as object as Publisher<EventInputs<Schemas>>;
}

type Pair = readonly [event: string, value: unknown];

class TopicPublisher implements Publisher<Record<string, unknown>> {
  readonly #sender: Sender<Pair, PublishResult>;

  constructor(broker: Backend, topic: Topic, settings: SenderSettings) {
    const routes = routesOf(topic);
    const target = {
      name: topic.name,
      verb: 'publish',
      mandatory: topic.unrouted === 'error',
      keepsAll: topic.unrouted === 'keep',
      compress: topic.compress,
      encode: (pair: Pair) => encode(topic, routes, pair),
      route: (pair: Pair) => routes.get(pair[0]) as EventRoute,
      declare: (backend: Backend, wait: WaitOptions) => declareTopic(backend, topic, wait),
      result: (id: string, routed: boolean) => ({ id, routed }),
    } as const;
    this.#sender = new Sender(broker, target, settings);
    this.publish = this.publish.bind(this);
    this.publishMany = this.publishMany.bind(this);
  }

  publish(event: string, value: unknown, options?: PublishEventOptions): Promise<PublishResult> {
    return options === undefined
      ? this.#sender.send([event, value])
      : this.#publishWith(event, value, options);
  }

  async #publishWith(event: string, value: unknown, options: PublishEventOptions): Promise<PublishResult> {
    refuseOthers('publish', options);
    return this.#sender.send([event, value], options);
  }

  async publishMany(events: Values<Pair>, options?: PublishManyOptions): Promise<PublishManyResult> {
    refuseOthers('publishMany', options);
    let routed = 0;
    const { stored, skipped } = await this.#sender.sendMany(events, options, (isRouted) => {
      if (isRouted) routed++;
    });
    return { published: stored, routed, ...(skipped !== undefined && { skipped }) };
  }
}

/** State shared by the messages of an event. */
interface EventRoute extends Required<Pick<Message, 'origin' | 'type'>> {
  readonly encode: EventValues['encode'];
}

/** Created once: an object for each message would be a large part of its cost, and backends recognize the object. */
function routesOf({ name: exchange, events }: Topic): ReadonlyMap<unknown, EventRoute> {
  return new Map(
    Object.entries(events).map(([event, { encode }]) => [
      event,
      { origin: Object.freeze({ exchange, routingKey: event }), type: event, encode },
    ]),
  );
}

/** Throws `INVALID_MESSAGE`. */
function encode(
  topic: Topic,
  routes: ReadonlyMap<unknown, EventRoute>,
  pair: Pair,
): EncodedValue | Promise<EncodedValue> {
  if (!Array.isArray(pair) || pair.length !== 2) {
    throw invalidEvent(topic, `expected an event and its value, got ${quote(pair)}`);
  }
  // Read by index, since destructuring would cost as much as the rest. An object that only converts to a name is refused.
  const event = pair[0];
  const route = routes.get(event);
  if (route !== undefined) return route.encode(pair[1]);
  const names = Object.keys(topic.events).map(quote).join(', ');
  throw invalidEvent(topic, `there is no event ${quote(event)}; its events are ${names}`);
}

function invalidEvent({ name }: Topic, why: string): QueueError {
  return new QueueError('INVALID_MESSAGE', `the topic '${name}': ${why}`);
}

/** Refused, since a request has one answer, and a topic any number of subscriptions. */
function refuseOthers(method: string, options: object | undefined): void {
  if (typeof options !== 'object' || options === null) return;
  if ('replyTo' in options)
    throw invalidOption(`${method}: replyTo`, 'none: send a request to a queue', options.replyTo);
  if ('type' in options) throw invalidOption(`${method}: type`, 'none: it is the event', options.type);
}

/** Declares its exchange, and the queue of its unrouted events. */
export async function declareTopic(
  backend: Backend,
  { exchange, unroutedQueue }: Topic,
  wait: WaitOptions,
): Promise<void> {
  if (unroutedQueue !== undefined) {
    // An exchange with other options is refused before its queue is created; a new one comes after its queue, so that
    // nothing is lost that it leads there.
    if (await isThere(backend, exchange, wait)) await backend.declareExchange(exchange.spec, wait);
    await backend.declare(unroutedQueue, wait);
  }
  await backend.declareExchange(exchange.spec, wait);
}

async function isThere(backend: Backend, { spec }: Topic['exchange'], wait: WaitOptions): Promise<boolean> {
  try {
    await backend.declareExchange({ ...spec, declare: 'existing' }, wait);
    return true;
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISSING')) return false;
    throw error;
  }
}
