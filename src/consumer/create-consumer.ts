import type { Broker } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import type { Around } from '../common/hooks/around.js';
import { invalidOption } from '../common/options.js';
import type { EventQueue, Queue } from '../queue.js';
import { isAnswered } from './answer.js';
import type { Consumer, Handler, HandlerContext } from './consumer.js';
import { type ConsumerOptions, checkConsumerOptions } from './consumer-options.js';
import { type HandlerHost, HandlerThreads, type ThreadedHandler } from './handler-threads.js';
import {
  type Discriminant,
  type HandlersByEvent,
  type HandlersByMessage,
  type HandlersByType,
  handlerByEvent,
  handlerByType,
} from './handlers-by-type.js';
import { RunningConsumer } from './running-consumer.js';
import { trackedHandler } from './tracked-handler.js';

/** With a handler for each `type` or routing key that messages have. */
export function createConsumer<Out>(
  broker: Broker,
  queue: Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'>,
  handler: HandlersByMessage<NoInfer<Out>>,
  options?: ConsumerOptions<NoInfer<Out>>,
): Consumer;
/**
 * A consumer that calls `handler` with each message of the queue.
 *
 * ```ts
 * const consumer = createConsumer(broker, orders, async (order, { signal }) => {
 *   await ship(order, { signal });
 * }, { concurrency: 8, retry: { delaysMs: [1000, 60_000] } });
 * await consumer.start();
 * ```
 *
 * If the schema is a discriminated union, pass one handler for each type of message:
 *
 * ```ts
 * createConsumer(broker, events, { by: 'type', handlers: { click: onClick, key: onKey } });
 * ```
 *
 * For a subscription to a topic, pass one for each event:
 *
 * ```ts
 * createConsumer(broker, billing, { handlers: { 'order.placed': invoice, 'order.cancelled': cancel } });
 * ```
 *
 * Or pass one for each `type` that senders set, or for each routing key ({@link HandlersByMessage}):
 *
 * ```ts
 * createConsumer(broker, orders, { byMessage: 'type', handlers: { 'order.placed': onPlaced, 'order.paid': onPaid } });
 * ```
 *
 * For CPU-bound work, name a module whose default export is the handler. It runs in threads:
 *
 * ```ts
 * createConsumer(broker, images, { module: new URL('./resize.js', import.meta.url), threads: 4 });
 * ```
 *
 * Undecodable bodies, values that fail the schema and bodies over the size limit become dead letters without a call of
 * the handler. Throws `INVALID_OPTION`.
 */
export function createConsumer<
  Out,
  By extends Discriminant<Out> = Discriminant<Out>,
  Events extends object = never,
>(
  broker: Broker,
  queue: ConsumedQueue<Out, Events>,
  handler: Handler<Out> | HandlersByName<Out, By, NoInfer<Events>> | ThreadedHandler,
  options?: ConsumerOptions<NoInfer<Out>>,
): Consumer;
export function createConsumer<Out>(
  broker: Broker,
  queue: ConsumedQueue<Out, Record<string, unknown>>,
  handler: Handler<Out> | Forms | ThreadedHandler,
  options?: ConsumerOptions<NoInfer<Out>>,
): Consumer {
  const backend = backendOf(broker);
  if (isThreaded(handler)) {
    const threads = new HandlerThreads(handler);
    const settings = checkConsumerOptions(options, threads.count, queue.spec.delayedRetry);
    if (settings.concurrency !== threads.count) {
      throw invalidOption('concurrency', `the number of threads, ${threads.count}`, settings.concurrency);
    }
    const run = wrapped<Out>(settings.around, (value, context) =>
      threads.run(value, context, isAnswered(context, settings.replies)),
    );
    return new RunningConsumer(backend, queue, { handler: run, tracked: run }, settings, threads);
  }
  const settings = checkConsumerOptions(options, 1, queue.spec.delayedRetry);
  const plain = wrapped(settings.around, toHandler(handler, queue));
  const tracked = trackedHandler(plain, backend, queue, settings);
  return new RunningConsumer(backend, queue, { handler: plain, tracked }, settings, MAIN_THREAD);
}

function wrapped<Out>(around: Around<HandlerContext> | undefined, handler: Handler<Out>): Handler<Out> {
  if (around === undefined) return handler;
  return (value, context) => around(async () => handler(value, context), context);
}

const MAIN_THREAD: HandlerHost = { open: async () => {}, drain: () => {}, close: async () => {} };

/** A queue; of a subscription, also its events. */
type ConsumedQueue<Out, Events extends object> = Pick<Queue<never, Out>, 'name' | 'spec' | 'decode'> &
  Partial<Pick<EventQueue<Events>, 'events' | 'eventOf' | 'eventValues'>>;

/** A handler for each event of a subscription, for each type of another queue's messages. */
type HandlersByName<Out, By extends Discriminant<Out>, Events extends object> = [Events] extends [never]
  ? HandlersByType<Out, By>
  : HandlersByEvent<Events>;

type Forms = { readonly by?: string; readonly byMessage?: string; readonly handlers: object };

function isThreaded(handler: object): handler is ThreadedHandler {
  return typeof handler === 'object' && handler !== null && 'module' in handler;
}

function toHandler<Out>(
  handler: Handler<Out> | Forms,
  { name, events, eventOf }: ConsumedQueue<Out, Record<string, unknown>>,
): Handler<Out> {
  if (typeof handler === 'function') return handler;
  if (typeof handler === 'object' && handler !== null) {
    const isByEvent =
      handler.by === undefined &&
      handler.byMessage === undefined &&
      events !== undefined &&
      eventOf !== undefined;
    return isByEvent ? handlerByEvent(handler, { name, events, eventOf }) : handlerByType(handler);
  }
  throw invalidOption('handler', 'a function, handlers by type, or the module of one', handler);
}
