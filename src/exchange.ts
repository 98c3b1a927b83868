import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { ExchangeSpec } from './broker.js';
import {
  checkRoutingKey,
  type Exchange,
  type ExchangeOptions,
  exchangeOption,
  exchangeSpec,
} from './common/definitions/exchange-spec.js';
import type { Codec, CodecName } from './common/encoding/codec.js';
import { checkOptionNames } from './common/options.js';
import { isQueueError, QueueError } from './errors.js';
import { defineQueue, type Queue } from './queue.js';

export type { BindingOptions, Exchange, ExchangeOptions } from './common/definitions/exchange-spec.js';

/**
 * Defines an exchange, for the `bindings` of a queue and for {@link defineRoute}. Nothing is declared yet. Within one
 * application `defineTopic` is the better choice; this is for exchanges shared with other programs.
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

/** Values that are sent to an exchange, and their routing keys. Created by {@link defineRoute}. */
export interface Route<In> {
  /** The name of the exchange. */
  readonly name: string;
  /** The definition of the exchange. */
  readonly exchange: ExchangeSpec;
  /** The schema of the values, for documentation. */
  readonly schema?: StandardSchemaV1 | undefined;
  /** The content type of the messages. */
  readonly contentType?: string | undefined;
  /** Throws or rejects with `INVALID_MESSAGE`. Asynchronous only if the schema is. */
  encode(value: In): ReturnType<Queue<In, unknown>['encode']>;
  /** The routing key of a value. Throws `INVALID_MESSAGE`. */
  route(value: In): string;
}

/** The options of {@link defineRoute}. All have defaults. */
export interface RouteOptions<In> {
  /** The routing key of all messages, or a function that returns it for a value. Default: `''`, as for a `fanout` exchange. */
  readonly routingKey?: string | ((value: In) => string) | undefined;
  /** How values become message bodies: `'json'` (default), `'structured'`, `'text'`, `'bytes'`, or a codec of your own. */
  readonly codec?: CodecName | Codec | undefined;
}

/**
 * Defines the messages that are sent to an exchange, for `createProducer`: their schema and their routing keys.
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
  // An exchange uses the same codec as a queue.
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
