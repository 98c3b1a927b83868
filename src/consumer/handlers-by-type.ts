import { checkOptionNames, invalidOption, quote } from '../common/options.js';
import { RejectMessage } from '../errors.js';
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

/** One handler that calls the one for the message's type. Throws `INVALID_OPTION`. */
export function handlerByType(forms: { readonly by: string; readonly handlers: object }): Handler<unknown> {
  checkOptionNames('handler', forms, ['by', 'handlers']);
  const { by, handlers } = forms;
  if (typeof by !== 'string') throw invalidOption('by', 'the name of a property of the value', by);
  if (typeof handlers !== 'object' || handlers === null) {
    throw invalidOption('handlers', 'an object with a handler for each type', handlers);
  }
  const byType = new Map<unknown, Handler<unknown>>(Object.entries(handlers));
  for (const [type, handler] of byType) {
    if (typeof handler !== 'function') throw invalidOption(`handlers[${quote(type)}]`, 'a function', handler);
  }
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

function partOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
