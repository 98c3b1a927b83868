import type { Broker } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { type Around, aroundSendOption, type SendContext } from '../common/hooks/around.js';
import { checkOptionNames, durationOption } from '../common/options.js';
import type { Route } from '../exchange.js';
import type { Queue } from '../queue.js';
import type { EachValueOptions } from './each-value.js';
import type { MessageOptions } from './message-options.js';
import type { SendManyResult } from './send-many.js';
import type { SendTarget } from './send-target.js';
import { queueTarget, Sender, type SenderSettings } from './sender.js';
import type { Values } from './value-source.js';

/** The options of `createProducer`. All have defaults. */
export interface ProducerOptions {
  /**
   * How long a `send` may take in all, including waits for room, unless it sets its own limit. Milliseconds, `Infinity` for
   * no limit. Default: 30,000.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Functions around the storing of each message: each is called with `next` and the message's {@link SendContext},
   * after the value was validated and encoded, and may add headers. The first is the outermost. A send resolves only if
   * its message is stored, and rejects with what they throw. They may take as long as the send. Messages may overtake each
   * other while a function waits.
   */
  readonly around?: readonly Around<SendContext>[] | undefined;
}

/** Checks the arguments of `createProducer`, or `where`. Throws `INVALID_OPTION`. */
export function senderSettings(where: string, options: ProducerOptions | undefined): SenderSettings {
  checkOptionNames(where, options, ['timeoutMs', 'around']);
  return {
    timeoutMs: durationOption('timeoutMs', options?.timeoutMs, { infinity: true, default: 30_000 }),
    around: aroundSendOption(options?.around),
  };
}

/** Limits of a send. */
export interface SendWait {
  /** Ends the send: `ABORTED` if nothing was stored, `UNCONFIRMED` if that is not known. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds, `Infinity` for no limit. Default: the producer's. */
  readonly timeoutMs?: number | undefined;
}

/** The options of `send`. All have defaults; unknown names are `INVALID_OPTION`. */
export interface SendOptions extends MessageOptions, SendWait {}

/** The message options apply to all messages, unless `each` overrides them; ids are new unless `each` sets them. */
export interface SendManyOptions<In = unknown>
  extends Omit<MessageOptions, 'id'>,
    SendWait,
    EachValueOptions<In> {}

/** The result of `send`. */
export interface SendResult {
  /** The message's id: the given one, or a new UUID. */
  readonly id: string;
}

/** Sends values to one queue, or to one exchange. Created by {@link createProducer}; need not be closed. */
export interface Producer<In> {
  /**
   * Resolves when the message is routed to the queue and stored: in memory, flushed to disk, or confirmed by RabbitMQ.
   * Waits while there is no room (back-pressure). Declares the queue when it is first used.
   *
   * Rejects: `INVALID_MESSAGE` and `TOO_LARGE` before any I/O; `TIMEOUT`, `ABORTED`, `UNROUTABLE`, `REFUSED`, `CLOSED` if
   * nothing was stored; `UNCONFIRMED` if the message may have arrived (send it again with the same `id`, by which the
   * consumer can deduplicate); and with the errors of declaring the queue.
   */
  send(value: In, options?: SendOptions): Promise<SendResult>;

  /**
   * Like {@link send}, but never waits for room: resolves to undefined, with nothing stored, if `send` would have to wait.
   */
  trySend(value: In, options?: SendOptions): Promise<SendResult | undefined>;

  /**
   * Sends many values in order, with as many messages in flight as the window of unconfirmed messages allows. Takes values
   * from the iterable only as they can be sent. At the first error it takes no further value, waits for messages in flight,
   * and rejects with that error and its `progress`, which says which values are stored. An error of the iterable itself
   * ends it in the same way, with `ABORTED` and that error as the `cause`.
   */
  sendMany(values: Values<In>, options?: SendManyOptions<In>): Promise<SendManyResult>;
}

/**
 * A producer for one queue, or for an exchange with a definition by `defineRoute`.
 *
 * ```ts
 * const producer = createProducer(broker, orders);
 * await producer.send({ id: 'A-1', total: 12.5 });
 * ```
 *
 * An exchange may route to several queues. If one of them refuses a message because it is full, the send is `UNCONFIRMED`
 * on RabbitMQ, since the other queues have the message. Throws `INVALID_OPTION`.
 */
export function createProducer<In>(
  broker: Broker,
  target: Pick<Queue<In, unknown>, 'name' | 'spec' | 'encode' | 'compress'> | Route<In>,
  options?: ProducerOptions,
): Producer<In> {
  return new Sender(
    backendOf(broker),
    'route' in target ? routeTarget(target) : queueTarget(target),
    senderSettings('createProducer', options),
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
