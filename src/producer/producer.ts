import type { Broker } from '../broker.js';
import { backendOf, checkOptionNames, durationOption } from '../common/options.js';
import type { Route } from '../exchange.js';
import type { Queue } from '../queue.js';
import type { EachValueOptions } from './each-value.js';
import type { MessageOptions } from './message-options.js';
import type { SendManyResult } from './send-many.js';
import { queueTarget, Sender, type SendTarget } from './sender.js';
import type { Values } from './value-source.js';

/** What `createProducer` takes. All have defaults. */
export interface ProducerOptions {
  /**
   * How long a `send` may take in all, waits for room included, unless it says otherwise itself.
   * Milliseconds, `Infinity` for no limit. Default: 30 000.
   */
  readonly timeoutMs?: number | undefined;
}

/** What bounds a send. */
export interface SendWait {
  /** Ends the send: `ABORTED` where nothing was stored, `UNCONFIRMED` where that is not known. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds, `Infinity` for no limit. Default: the producer's. */
  readonly timeoutMs?: number | undefined;
}

/** What `send` takes besides the value. All have defaults; unknown names are `INVALID_OPTION`. */
export interface SendOptions extends MessageOptions, SendWait {}

/** The message options hold for each of the messages, unless `each` says otherwise; ids are new unless it names them. */
export interface SendManyOptions<In = unknown>
  extends Omit<MessageOptions, 'id'>,
    SendWait,
    EachValueOptions<In> {}

/** What `send` resolves to. */
export interface SendResult {
  /** The message's id: the one given, or a new UUID. */
  readonly id: string;
}

/** Sends values to one queue, or to one exchange. Made by {@link createProducer}; holds nothing that must be closed. */
export interface Producer<In> {
  /**
   * Resolves when the message is routed to the queue and stored: in memory, flushed to disk, or confirmed by
   * RabbitMQ. Waits while there is no room, which is the back-pressure. Declares the queue when it is first used.
   *
   * Rejects: `INVALID_MESSAGE` and `TOO_LARGE` before any I/O; `TIMEOUT`, `ABORTED`, `UNROUTABLE`, `REFUSED`,
   * `CLOSED` where nothing was stored; `UNCONFIRMED` where the message may have arrived (send it again under the
   * same `id`, and let the consumer tell the two apart by it); and what declaring the queue may reject with.
   */
  send(value: In, options?: SendOptions): Promise<SendResult>;

  /**
   * As {@link send}, but never waits for room: resolves to undefined, with nothing stored, where `send` would
   * have to wait.
   */
  trySend(value: In, options?: SendOptions): Promise<SendResult | undefined>;

  /**
   * Sends many values, as many at once as the window of unconfirmed messages takes, in order. Takes values from
   * the iterable only as they can be sent. Stops at the first error: takes no further value, waits for those
   * under way, and rejects with that error and its `progress`, which says what is stored and what is not. An
   * error of the iterable itself ends it in the same way, with `ABORTED` and that error as the `cause`.
   */
  sendMany(values: Values<In>, options?: SendManyOptions<In>): Promise<SendManyResult>;
}

/**
 * A producer for one queue, or for an exchange of which `defineRoute` says what is sent there.
 *
 * ```ts
 * const producer = createProducer(broker, orders);
 * await producer.send({ id: 'A-1', total: 12.5 });
 * ```
 *
 * Behind an exchange there may be several queues: a message that one of them refuses, since it is full, is
 * `UNCONFIRMED` on RabbitMQ, for the others have it. Throws `INVALID_OPTION`.
 */
export function createProducer<In>(
  broker: Broker,
  target: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'> | Route<In>,
  options?: ProducerOptions,
): Producer<In> {
  checkOptionNames('createProducer', options, ['timeoutMs']);
  const timeoutMs = durationOption('timeoutMs', options?.timeoutMs, { infinity: true, default: 30_000 });
  return new Sender(
    backendOf(broker),
    'route' in target ? routeTarget(target) : queueTarget(target),
    timeoutMs,
  );
}

function routeTarget<In>(route: Route<In>): SendTarget<In, SendResult> {
  return {
    name: route.name,
    verb: 'send',
    mandatory: true,
    encode: route.encode,
    route: (value) => ({ origin: { exchange: route.name, routingKey: route.route(value) } }),
    declare: (broker, wait) => broker.declareExchange(route.exchange, wait),
    result: (id) => ({ id }),
  };
}
