import type { QueueSpec, QueueStats, WaitOptions } from '../../broker.js';
import { isQueueError } from '../../errors.js';
import type { QueueCounts } from '../topology/topology.js';

/** Why AMQP alone does not suffice. */
const UNKNOWN: QueueStats['unknown'] = Object.freeze({
  unsettled: 'AMQP does not report it; the management API does',
  delayed: 'AMQP does not report it; the management API does',
  oldestAgeMs: 'RabbitMQ does not report the age of messages',
  bytes: 'AMQP does not report it; the management API does',
  rates: 'AMQP does not report it; the management API does',
});

const UNKNOWN_DEAD = 'the queue was not declared here, and AMQP does not report where its dead letters go';

type Inspect = (queue: string, wait: WaitOptions) => Promise<QueueCounts>;

/** The figures of a queue that AMQP reports. `spec`: its definition, if it was declared here. Rejects as `Broker.inspect` does. */
export async function amqpStats(
  queue: string,
  spec: QueueSpec | undefined,
  inspect: Inspect,
  wait: WaitOptions,
): Promise<QueueStats> {
  const counts = await inspect(queue, wait);
  const dead = await deadOf(spec, inspect, wait);
  return {
    ...counts,
    unsettled: undefined,
    delayed: undefined,
    dead,
    oldestAgeMs: undefined,
    bytes: undefined,
    rates: undefined,
    unknown: dead === undefined ? { ...UNKNOWN, dead: UNKNOWN_DEAD } : UNKNOWN,
  };
}

async function deadOf(
  spec: QueueSpec | undefined,
  inspect: Inspect,
  wait: WaitOptions,
): Promise<number | undefined> {
  if (spec === undefined) return undefined;
  if (spec.deadLetter === false) return 0;
  try {
    return (await inspect(spec.deadLetter.queue, wait)).ready;
  } catch (error) {
    // It is declared with the first dead letter.
    if (isQueueError(error, 'QUEUE_MISSING')) return 0;
    throw error;
  }
}
