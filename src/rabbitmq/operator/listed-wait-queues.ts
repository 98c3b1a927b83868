/** Finds the queues in which retries wait, and whether anything may still use them, in the management API's lists. */
import type { WaitQueue } from '../../broker.js';
import { mayHaveDelay } from '../topology/named-retry-delays.js';
import type { ListedConsumer } from './listed-consumers.js';
import { type ListedQueue, numberOf, retriedQueue } from './listed-queue.js';

/** The requested fields of consumers. */
export const RETRYING_COLUMNS = 'queue.name,arguments';

/** Those among the queues in which retries wait. Figures that are missing count as use. */
export function waitQueuesOf(
  queues: readonly ListedQueue[],
  consumers: readonly ListedConsumer[],
): WaitQueue[] {
  const byQueue = new Map(queues.map((queue) => [queue.name, queue]));
  const consumersOf = new Map<unknown, ListedConsumer[]>();
  for (const consumer of consumers) {
    const others = consumersOf.get(consumer.queue?.name);
    if (others === undefined) consumersOf.set(consumer.queue?.name, [consumer]);
    else others.push(consumer);
  }
  const found: WaitQueue[] = [];
  for (const waiting of queues) {
    // Consumers attend to the ready queue, and declare it with the first retry of the process: it stays.
    const queue = waiting.name.endsWith('.ready') ? undefined : retriedQueue(waiting, byQueue);
    if (queue === undefined) continue;
    const messages = heldIn(waiting);
    const own = byQueue.get(queue);
    const isNeeded =
      own !== undefined &&
      // Only the connection that holds an exclusive queue may look into it.
      (own.exclusive === true ||
        mayHoldUnlisted(own) ||
        (own.consumers !== 0 && mayBeUsed(waiting.name, own.consumers, consumersOf.get(queue) ?? [])));
    const unused = messages === 0 && !isNeeded ? 'unused' : 'used';
    const state = own === undefined && (messages ?? 0) > 0 ? 'orphaned' : unused;
    found.push({ name: waiting.name, queue, messages: messages ?? 0, state });
  }
  return found;
}

/**
 * Whether any consumer of its queue may retry through a wait queue. `count`: of the consumers, as the queue has it. It
 * includes cancelled ones with unsettled messages and new ones, which may not be listed: such a consumer may.
 */
export function mayBeUsed(name: string, count: unknown, consumers: readonly ListedConsumer[]): boolean {
  const delayMs = policyDelayOf(name);
  if (delayMs === undefined || count !== consumers.length) return true;
  return consumers.some((consumer) => mayHaveDelay(consumer.arguments, delayMs));
}

/** Whether a cancelled consumer may have messages that it has yet to retry. A quorum queue still counts such a consumer. */
function mayHoldUnlisted({ type, consumers, messages_unacknowledged }: ListedQueue): boolean {
  return (type !== 'quorum' || consumers === 0) && numberOf(messages_unacknowledged) !== 0;
}

/** The delay of a wait queue for policies that list it. Undefined: it is for delays that are computed, or set by a handler. */
function policyDelayOf(name: string): number | undefined {
  const found = /\.retry\.(\d+)$/.exec(name);
  return found === null ? undefined : Number(found[1]);
}

/** Including those that can't reach the next queue. Undefined: unknown. */
function heldIn({ type, messages, messages_dlx }: ListedQueue): number | undefined {
  const own = numberOf(messages);
  const expired = type === 'quorum' ? numberOf(messages_dlx) : 0;
  return own === undefined || expired === undefined ? undefined : own + expired;
}
