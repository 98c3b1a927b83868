import { checkOptionNames, invalidOption, quote, wordOption } from '../common/options.js';
import { QueueError, RejectMessage } from '../errors.js';
import type { EventQueue } from '../queue.js';
import type { Handler, HandlerContext } from './consumer.js';

/** The properties that can discriminate the union: those that are strings in each member. */
export type Discriminant<Out> = {
  [Name in keyof Out & string]: Out[Name] extends string ? Name : never;
}[keyof Out & string];

/** The members of the union `Out` whose property `By` may be `Type`. */
type OfType<Out, By extends string, Type> = Out extends { readonly [Name in By]: infer Own }
  ? Type extends Own
    ? Out
    : never
  : never;

/**
 * A handler for each type of message, over a discriminated union: a missing handler, or one for an unknown type, does
 * not compile. A message of another type that passes the schema nevertheless becomes a dead letter.
 */
export interface HandlersByType<Out, By extends Discriminant<Out> = Discriminant<Out>> {
  /** The property of the value that names its type. */
  readonly by: By;
  /** One handler for each type of message. */
  readonly handlers: { readonly [Type in Out[By] & string]: Handler<OfType<Out, By, Type>> };
}

/**
 * A handler for each event of a subscription: a missing handler, or one for an event that the subscription does not get,
 * does not compile.
 */
export interface HandlersByEvent<Events extends object> {
  /** One handler for each event, by the name of the event. */
  readonly handlers: { readonly [Event in keyof Events & string]: Handler<Events[Event]> };
}

/** One handler that calls the one for the event. Throws `INVALID_OPTION` unless each event has one, and nothing else. */
export function handlerByEvent(
  forms: { readonly handlers: object },
  { name, events, eventOf }: Pick<EventQueue<Record<string, unknown>>, 'name' | 'events' | 'eventOf'>,
): Handler<unknown> {
  checkOptionNames('handler', forms, ['handlers']);
  const byEvent = checkHandlers(forms.handlers);
  const missing = events.find((event) => !byEvent.has(event));
  const unknown = [...byEvent.keys()].find((event) => !events.includes(event));
  if (missing !== undefined || unknown !== undefined) {
    const why =
      missing === undefined ? `'${name}' has no event ${quote(unknown)}` : `none for ${quote(missing)}`;
    throw new QueueError(
      'INVALID_OPTION',
      `handlers: ${why}; its events are ${events.map(quote).join(', ')}`,
    );
  }
  return (value, context) => {
    const handler = byEvent.get(eventOf(context) ?? '');
    if (handler === undefined) throw new RejectMessage(`no handler for ${quote(context.routingKey)}`);
    return handler(value, context);
  };
}

/**
 * A handler for each kind of message, selected by a property of the message: the `type` that its sender set, or the
 * routing key that it was published with. A message of another kind becomes a dead letter, unless there is `otherwise`.
 *
 * ```ts
 * createConsumer(broker, orders, { byMessage: 'type', handlers: { 'order.placed': onPlaced, 'order.paid': onPaid } });
 * ```
 */
export interface HandlersByMessage<Out> {
  /** The property that names the kind of a message. */
  readonly byMessage: 'type' | 'routingKey';
  /** The handlers, by the exact value of that property. */
  readonly handlers: Readonly<Record<string, Handler<Out>>>;
  /** Handles all other messages, including those without a type. Default: they become dead letters. */
  readonly otherwise?: Handler<Out> | undefined;
}

/** Handlers as a program without types may pass them. */
interface HandlerForms {
  readonly by?: unknown;
  readonly byMessage?: unknown;
  readonly handlers?: unknown;
  readonly otherwise?: unknown;
}

/** One handler that calls the one for the message's type. Throws `INVALID_OPTION`. */
export function handlerByType(forms: object): Handler<unknown> {
  const { by, byMessage, handlers, otherwise }: HandlerForms = forms;
  if (byMessage === undefined) {
    checkOptionNames('handler', forms, ['by', 'handlers']);
    if (typeof by !== 'string') throw invalidOption('by', 'the name of a property of the value', by);
    return dispatcher(by, handlers, undefined, (value) => partOf(value, by));
  }
  checkOptionNames('handler', forms, ['byMessage', 'handlers', 'otherwise']);
  const name = wordOption('byMessage', byMessage as 'type', ['type', 'routingKey'], 'type');
  if (otherwise !== undefined && typeof otherwise !== 'function') {
    throw invalidOption('otherwise', 'a function', otherwise);
  }
  return dispatcher(name, handlers, otherwise as Handler<unknown> | undefined, (_, context) => context[name]);
}

function dispatcher(
  by: string,
  handlers: unknown,
  otherwise: Handler<unknown> | undefined,
  typeOf: (value: unknown, context: HandlerContext) => unknown,
): Handler<unknown> {
  const byType: ReadonlyMap<unknown, Handler<unknown>> = checkHandlers(handlers);
  return (value, context) => {
    const type = typeOf(value, context);
    const handler = byType.get(type) ?? otherwise;
    if (handler === undefined) {
      throw new RejectMessage(
        `no handler for a message whose ${by} is ${quote(type)}; there are handlers for ${[...byType.keys()].map(quote).join(', ')}`,
      );
    }
    return handler(value, context);
  };
}

function checkHandlers(handlers: unknown): ReadonlyMap<string, Handler<unknown>> {
  if (typeof handlers !== 'object' || handlers === null) {
    throw invalidOption('handlers', 'an object with a handler for each type', handlers);
  }
  const byName = new Map<string, Handler<unknown>>(Object.entries(handlers));
  for (const [name, handler] of byName) {
    if (typeof handler !== 'function') throw invalidOption(`handlers[${quote(name)}]`, 'a function', handler);
  }
  return byName;
}

function partOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
