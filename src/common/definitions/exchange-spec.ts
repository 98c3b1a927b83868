/** The definitions of exchanges and bindings: the options of users, checked and completed. */
import { isDeepStrictEqual } from 'node:util';
import type { Binding, DeclareMode, ExchangeSpec, ExchangeType } from '../../broker.js';
import { QueueError } from '../../errors.js';
import { booleanOption, checkOptionNames, invalidOption, quote, wordOption } from '../options.js';

/** An exchange of the broker. Created by `defineExchange`. */
export interface Exchange {
  /** The name of the exchange at the broker. */
  readonly name: string;
  /** The options of `defineExchange`, checked and completed. */
  readonly spec: ExchangeSpec;
}

/** Options of {@link defineExchange}. All have defaults. */
export interface ExchangeOptions {
  /**
   * How the exchange selects among its bindings: `'direct'` by an equal routing key, `'topic'` by a pattern, `'fanout'`
   * selects all, `'headers'` compares headers (RabbitMQ only). Default: `'topic'`.
   */
  readonly type?: ExchangeType | undefined;
  /** The behaviour if the exchange exists already. Default: `'match'`. */
  readonly declare?: DeclareMode | undefined;
  /** Whether the exchange survives a restart of RabbitMQ. Default: true. */
  readonly durable?: boolean | undefined;
  /** The exchange that receives messages which match no binding. It can't be changed later. Default: none. */
  readonly alternate?: Exchange | string | undefined;
}

/** How a queue is bound to an exchange. */
export interface BindingOptions {
  /** A definition made by `defineExchange`, or the name of an exchange that other programs declare. */
  readonly exchange: Exchange | string;
  /** The key for a `direct` exchange or the pattern for a `topic` exchange, which need one; other types ignore it. */
  readonly routingKey?: string | undefined;
  /** The headers that a `headers` exchange compares, and its `x-match`. */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined;
}

const TYPES: readonly ExchangeType[] = ['direct', 'fanout', 'topic', 'headers'];

/** Throws `INVALID_OPTION`. */
export function exchangeSpec(name: string, options: ExchangeOptions = {}): ExchangeSpec {
  checkOptionNames('defineExchange', options, ['type', 'declare', 'durable', 'alternate']);
  const declare = wordOption('declare', options.declare, ['match', 'if-missing', 'existing'], 'match');
  checkExchangeName('name', name, declare);
  return {
    name,
    declare,
    type: wordOption('type', options.type, TYPES, 'topic'),
    durable: booleanOption('durable', options.durable, true),
    alternate:
      options.alternate === undefined ? undefined : exchangeOption('alternate', options.alternate).name,
  };
}

/** Throws `INVALID_OPTION`. */
export function bindingsOption(option: string, bindings: readonly BindingOptions[] | undefined): Binding[] {
  if (bindings === undefined) return [];
  if (!Array.isArray(bindings)) throw invalidOption(option, 'a list of bindings', bindings);
  return bindings.map((binding: BindingOptions, index) => {
    const name = `${option}[${index}]`;
    checkOptionNames(name, binding, ['exchange', 'routingKey', 'arguments']);
    const exchange = exchangeOption(`${name}.exchange`, binding.exchange);
    const routingKey = binding.routingKey ?? (needsKey(exchange) ? undefined : '');
    checkRoutingKey(`${name}.routingKey`, routingKey);
    if (exchange.type === 'topic' && exchange.declare !== 'existing')
      checkPattern(`${name}.routingKey`, routingKey);
    return { exchange, routingKey, arguments: { ...binding.arguments } };
  });
}

/**
 * Throws `INVALID_OPTION` for a binding that a definition both has and removes: what is left would depend on the order,
 * which differs between backends.
 */
export function checkUnbind(bindings: readonly Binding[], unbind: readonly Binding[]): void {
  for (const { exchange, routingKey, arguments: args } of unbind) {
    const isWanted = bindings.some(
      (other) =>
        other.routingKey === routingKey &&
        other.exchange.name === exchange.name &&
        isDeepStrictEqual(other.arguments, args),
    );
    if (isWanted)
      throw invalidOption('unbind', 'bindings that the definition does not have itself', routingKey);
  }
}

function needsKey({ declare, type }: ExchangeSpec): boolean {
  return declare !== 'existing' && (type === 'direct' || type === 'topic');
}

/** RabbitMQ 4.3 refuses more because of their cost, so all backends do. */
const MAX_HASHES = 2;

function checkPattern(option: string, pattern: string): void {
  const hashes = pattern.split('.').filter((word) => word === '#').length;
  if (hashes <= MAX_HASHES) return;
  throw invalidOption(
    option,
    `a pattern with at most ${MAX_HASHES} words '#', as RabbitMQ takes it`,
    pattern,
  );
}

/** The spec of an exchange that is given by its name or its definition. Throws `INVALID_OPTION`. */
export function exchangeOption(option: string, exchange: Exchange | string): ExchangeSpec {
  if (typeof exchange === 'string') {
    checkExchangeName(option, exchange, 'existing');
    return { name: exchange, declare: 'existing', type: 'topic', durable: true, alternate: undefined };
  }
  const spec = typeof exchange === 'object' && exchange !== null ? exchange.spec : undefined;
  if (typeof spec?.type !== 'string')
    throw invalidOption(option, 'an exchange, or the name of one', exchange);
  return spec;
}

/** An AMQP short string. */
const MAX_NAME_BYTES = 255;

/** Throws `INVALID_OPTION`. */
export function checkRoutingKey(option: string, key: unknown): asserts key is string {
  const fits = typeof key === 'string' && key.isWellFormed() && Buffer.byteLength(key) <= MAX_NAME_BYTES;
  if (!fits) throw invalidOption(option, `text of at most ${MAX_NAME_BYTES} bytes`, key);
}

/** Throws `INVALID_OPTION` for an exchange that every broker has. */
export function checkRemovable(exchange: unknown): void {
  checkRoutingKey('exchange', exchange);
  if (exchange !== '' && !exchange.startsWith('amq.')) return;
  throw invalidOption('exchange', 'one that was declared: this one belongs to the broker', exchange);
}

function checkExchangeName(option: string, name: unknown, declare: DeclareMode): void {
  checkRoutingKey(option, name);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (name === '' || (declare !== 'existing' && /[\u0000-\u001f\u007f]/.test(name))) {
    throw invalidOption(option, `1 to ${MAX_NAME_BYTES} bytes without control characters`, name);
  }
  checkNotReserved(option, name, declare);
}

/** Throws `INVALID_OPTION` for the name of a queue or an exchange that RabbitMQ lets nobody declare. */
export function checkNotReserved(option: string, name: string, declare: DeclareMode): void {
  if (!name.startsWith('amq.') || declare === 'existing') return;
  throw new QueueError(
    'INVALID_OPTION',
    `${option}: ${quote(name)} begins with 'amq.', which RabbitMQ reserves; choose another name, or declare: 'existing'`,
  );
}
