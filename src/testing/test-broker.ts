import type { Broker } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { checkOptionNames, durationOption, integerOption } from '../common/options.js';
import { connect } from '../connect.js';
import { aroundBroker, withVerbs } from './around-broker.js';

/** The options of `openTestBroker`. All have defaults. */
export interface TestBrokerOptions {
  /**
   * How many messages a queue without its own `capacity` holds before `send` waits. Default: 16, so that a handful of
   * messages exposes code that does not expect to wait.
   */
  readonly capacity?: number | undefined;
  /** The longest delay before a retry, regardless of the policy. Milliseconds. Default: 10. */
  readonly maxRetryDelayMs?: number | undefined;
}

/**
 * A broker for tests of your own code: in memory, new and empty. It is `local:` with small queues and short delays before
 * retries; everything else works as in production: encoding, schemas, back-pressure, attempts, dead letters.
 *
 * ```ts
 * const broker = await openTestBroker();
 * ```
 *
 * It can't show network effects: outages, re-sent messages, redeliveries. For those, put `TcpProxy` in front of RabbitMQ.
 * Rejects: `INVALID_OPTION`.
 */
export async function openTestBroker(options: TestBrokerOptions = {}): Promise<Broker> {
  checkOptionNames('openTestBroker', options, ['capacity', 'maxRetryDelayMs']);
  const capacity = integerOption('capacity', options.capacity, { min: 1, infinity: true, default: 16 });
  const maxRetryDelayMs = durationOption('maxRetryDelayMs', options.maxRetryDelayMs, { default: 10 });
  return aroundBroker(backendOf(await connect('local:')), {
    declare: (queue) => ({ ...queue, capacity: queue.capacity ?? capacity }),
    delivery: (delivery) =>
      withVerbs(delivery, {
        retry: (delayMs, failure) => delivery.retry(Math.min(delayMs, maxRetryDelayMs), failure),
      }),
  });
}
