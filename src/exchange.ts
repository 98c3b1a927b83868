import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { ExchangeSpec } from './broker.js';
import type { Codec } from './common/codec.js';
import {
  checkRoutingKey,
  type Exchange,
  type ExchangeOptions,
  exchangeOption,
  exchangeSpec,
} from './common/exchange-spec.js';
import { checkOptionNames } from './common/options.js';
import { isQueueError, QueueError } from './errors.js';
import { defineQueue, type Queue } from './queue.js';

export type { BindingOptions, Exchange, ExchangeOptions } from './common/exchange-spec.js';

/**
 * Names an exchange, for the `bindings` of a queue and for {@link defineRoute}. Nothing is declared yet. An application
 * of its own is better served by `defineTopic`; this is for exchanges that other programs share.
 *
 * ```ts
 * const logs = defineExchange('logs', { type: 'fanout', declare: 'existing' });
 * const mine = defineQueue('logs.mine', z.string(), { bindings: [{ exchange: logs }] });
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function defineExchange(name: string, options?: ExchangeOptions): Exchange {
  return { name, spec: exchangeSpec(name, options) };
}

/** Values that are sent to an exchange, and the routing key of each. Made by {@link defineRoute}. */
export interface Route<In> {
  /** The name of the exchange. */
  readonly name: string;
  readonly exchange: ExchangeSpec;
  /** What describes the values, for documentation. */
  readonly schema?: StandardSchemaV1 | undefined;
  /** The media type of what producers send. */
  readonly contentType?: string | undefined;
  /** Throws or rejects with `INVALID_MESSAGE`. Asynchronous only if the schema is. */
  encode(value: In): ReturnType<Queue<In, unknown>['encode']>;
  /** The routing key of a value. Throws `INVALID_MESSAGE`. */
  route(value: In): string;
}

/** What {@link defineRoute} takes besides the exchange and the schema. All have defaults. */
export interface RouteOptions<In> {
  /** The routing key of each message, or a function that makes it of the value. Default: `''`, as for a `fanout` exchange. */
  readonly routingKey?: string | ((value: In) => string) | undefined;
  /** How values become message bodies: `'json'` (default), `'text'`, `'bytes'`, or a codec of your own. */
  readonly codec?: 'json' | 'text' | 'bytes' | Codec | undefined;
}

/**
 * What is sent to an exchange, for `createProducer`: its schema, and how the routing key is made.
 *
 * ```ts
 * const logs = defineExchange('logs', { type: 'direct', declare: 'existing' });
 * const lines = defineRoute(logs, lineSchema, { routingKey: ({ severity }) => severity });
 * await createProducer(broker, lines).send({ severity: 'error', text: 'out of grain' });
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function defineRoute<S extends StandardSchemaV1>(
  exchange: Exchange | string,
  schema: S,
  options: RouteOptions<StandardSchemaV1.InferInput<S>> = {},
): Route<StandardSchemaV1.InferInput<S>> {
  checkOptionNames('defineRoute', options, ['routingKey', 'codec']);
  const spec = exchangeOption('exchange', exchange);
  const { routingKey = '', codec } = options;
  if (typeof routingKey !== 'function') checkRoutingKey('routingKey', routingKey);
  // What encodes the values of a queue does it for an exchange.
  const { encode, contentType } = defineQueue(spec.name, schema, {
    codec: codec as Codec,
    declare: 'existing',
    deadLetter: false,
  });
  return {
    name: spec.name,
    exchange: spec,
    schema,
    contentType,
    encode,
    route:
      typeof routingKey === 'function' ? (value) => madeKey(spec.name, routingKey, value) : () => routingKey,
  };
}

function madeKey<In>(exchange: string, make: (value: In) => string, value: In): string {
  try {
    const key: unknown = make(value);
    checkRoutingKey('routingKey', key);
    return key;
  } catch (cause) {
    const why = isQueueError(cause) ? cause.message : `routingKey threw: ${String(cause)}`;
    throw new QueueError('INVALID_MESSAGE', `a value for the exchange '${exchange}': ${why}`, { cause });
  }
}
