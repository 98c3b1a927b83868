/**
 * Retries that a quorum queue delays itself (RabbitMQ 4.3, https://www.rabbitmq.com/docs/quorum-queues#delayed-retry):
 * a message that is rejected, or dies with its consumer, for the nth time waits there for min(n × min, max). Pure.
 */
import type { DelayedRetry, QueueSpec } from '../../broker.js';
import type { ServerVersion } from '../connection/server-version.js';

/** What a queue is to be declared with; undefined where nothing comes of it. */
export function delayedRetryOf(
  { type, declare, delayedRetry, arguments: given }: QueueSpec,
  { delaysRetries }: ServerVersion,
): DelayedRetry | undefined {
  if (!delaysRetries || type !== 'quorum' || declare !== 'match') return undefined;
  // Then the broker goes by those.
  const overruled = Object.keys(given).some((name) => /^x-(delayed-retry-|delivery-limit$)/.test(name));
  return overruled ? undefined : delayedRetry;
}

/**
 * Whether a message that failed `returns` times before waits for just `delayMs` when it fails once more. Each of
 * these failures counts for the delivery limit, at which the broker would give the message up whatever the policy of
 * its consumer is. So they take half of it at most; stored anew, by way of a wait queue, a message counts from 0.
 */
export function isDelayOf(
  { delayedRetry, deliveryLimit }: Pick<QueueSpec, 'delayedRetry' | 'deliveryLimit'>,
  returns: number,
  delayMs: number,
): boolean {
  if (delayedRetry === undefined || deliveryLimit === undefined) return false;
  const { minMs, maxMs } = delayedRetry;
  return returns + 1 <= deliveryLimit / 2 && delayMs === Math.min((returns + 1) * minMs, maxMs);
}
