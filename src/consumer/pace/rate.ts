/** Limits how many handlers may start in a span of time. */
import {
  checkOptionNames,
  durationOption,
  integerOption,
  invalidOption,
  wordOption,
} from '../../common/options.js';

/** How many handlers of a consumer may start in a span of time. */
export interface Rate<Out = unknown> {
  /** At most this many handlers start in any span of `perMs`. 1 to 100,000. */
  readonly limit: number;
  /** The length of the span. Milliseconds, 1 to 2,147,483,647. */
  readonly perMs: number;
  /**
   * Gives each string that it returns its own limit, for example each tenant or account. Messages with other keys
   * continue in the meantime, within the limit of `prefetch`. If it throws, the message becomes a dead letter.
   */
  readonly key?: ((value: Out) => string) | undefined;
  /**
   * The scope of the limit: `'consumer'`: each consumer has its own. `'queue'`: all consumers of the queue, in all
   * processes that share the folder; in memory, all of this broker. RabbitMQ can't count over its consumers: there
   * `createConsumer` throws `UNSUPPORTED`. Default: `'consumer'`.
   */
  readonly per?: 'consumer' | 'queue' | undefined;
}

/** Throws `INVALID_OPTION`. */
export function rateOption<Out>(rate: Rate<Out> | undefined): Rate<Out> | undefined {
  if (rate === undefined) return undefined;
  checkOptionNames('rate', rate, ['limit', 'perMs', 'key', 'per']);
  const { key } = rate;
  if (key !== undefined && typeof key !== 'function') {
    throw invalidOption('rate.key', 'a function of the value', key);
  }
  if (rate.perMs === undefined) throw invalidOption('rate.perMs', 'milliseconds', rate.perMs);
  if (rate.limit === undefined) throw invalidOption('rate.limit', 'how many messages', rate.limit);
  return {
    limit: integerOption('rate.limit', rate.limit, { min: 1, max: 100_000, default: 1 }),
    perMs: durationOption('rate.perMs', rate.perMs, { min: 1, default: 1 }),
    key,
    per: wordOption<'consumer' | 'queue'>('rate.per', rate.per, ['consumer', 'queue'], 'consumer'),
  };
}

/** A message that has waited this long returns to its queue, so that another consumer can take it. */
export const MAX_TURN_WAIT_MS = 30_000;

/** How many messages the limit lets through while one may wait. */
export function passedInTime({ limit, perMs }: Pick<Rate, 'limit' | 'perMs'>): number {
  return Math.floor((limit * MAX_TURN_WAIT_MS) / perMs);
}
