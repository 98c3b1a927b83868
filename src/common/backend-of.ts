import type { Backend, Broker, Operator } from '../broker.js';
import { QueueError } from '../errors.js';
import { invalidOption, isThenable } from './options.js';

/** The backend interface of a broker, which every broker has. Throws `INVALID_OPTION` for anything else. */
export function backendOf(broker: Broker): Backend {
  if (isThenable(broker)) {
    throw invalidOption('broker', 'the broker that connect() resolves to: await it first', broker);
  }
  const { publish } = (broker ?? {}) as Partial<Backend>;
  if (typeof publish !== 'function')
    throw invalidOption('broker', 'the broker that connect() resolves to', broker);
  return broker as Backend;
}

/**
 * The operator functions of a broker: list its queues, peek at messages, pause and resume.
 *
 * ```ts
 * const { queues } = await operatorOf(broker).queues();
 * ```
 *
 * Throws `UNSUPPORTED` if the backend does not have them, and `INVALID_OPTION` if it is no broker.
 */
export function operatorOf(broker: Broker): Operator {
  const { operator } = backendOf(broker);
  if (operator !== undefined) return operator;
  throw new QueueError(
    'UNSUPPORTED',
    `the backend of ${broker.url} does not support operator functions such as listing or peeking`,
  );
}
