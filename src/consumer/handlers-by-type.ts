import { checkOptionNames, invalidOption, quote } from '../common/options.js';
import { QueueError, RejectMessage } from '../errors.js';
import type { EventQueue } from '../queue.js';
import type { Handler } from './consumer.js';

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
      missing === undefined ? `'${name}' gets no event ${quote(unknown)}` : `none for ${quote(missing)}`;
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

/** One handler that calls the one for the message's type. Throws `INVALID_OPTION`. */
export function handlerByType(forms: { readonly by?: string; readonly handlers: object }): Handler<unknown> {
  checkOptionNames('handler', forms, ['by', 'handlers']);
  const { by, handlers } = forms;
  if (typeof by !== 'string') throw invalidOption('by', 'the name of a property of the value', by);
  const byType: ReadonlyMap<unknown, Handler<unknown>> = checkHandlers(handlers);
  return (value, context) => {
    const type = partOf(value, by);
    const handler = byType.get(type);
    if (handler === undefined) {
      throw new RejectMessage(
        `no handler for a message whose ${by} is ${quote(type)}; there are handlers for ${[...byType.keys()].map(quote).join(', ')}`,
      );
    }
    return handler(value, context);
  };
}

function checkHandlers(handlers: object): ReadonlyMap<string, Handler<unknown>> {
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
