import { randomUUID } from 'node:crypto';
import { checkOptionNames } from '../common/options.js';
import type { HandlerContext } from '../consumer/consumer.js';

const NAMES = [
  'queue',
  'exchange',
  'routingKey',
  'id',
  'attempt',
  'redelivered',
  'headers',
  'timestamp',
  'type',
  'appId',
  'userId',
  'expiresAt',
  'correlationId',
  'replyTo',
  'signal',
] as const satisfies readonly (keyof HandlerContext)[];

/**
 * The context of a handler, for tests that call the handler directly: the first attempt of a new message, unless
 * `context` says otherwise.
 *
 * ```ts
 * await handleOrder({ id: 'A-1', total: 12.5 }, createContext({ attempt: 3 }));
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function createContext(context: Partial<HandlerContext> = {}): HandlerContext {
  checkOptionNames('createContext', context, NAMES);
  const { queue = 'test', attempt = 1 } = context;
  return {
    queue,
    exchange: '',
    routingKey: queue,
    id: randomUUID(),
    attempt,
    redelivered: attempt > 1,
    headers: {},
    timestamp: Date.now(),
    type: undefined,
    appId: undefined,
    userId: undefined,
    expiresAt: undefined,
    correlationId: undefined,
    replyTo: undefined,
    signal: new AbortController().signal,
    ...context,
  };
}
