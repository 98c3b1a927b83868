import { isDeepStrictEqual } from 'node:util';
import type { QueueSpec } from '../broker.js';
import { quote } from '../common/options.js';
import { QueueError } from '../errors.js';

/** A queue that is there already: as it was declared, and what its capacity is by that and by default. */
interface ExistingQueue {
  readonly spec: QueueSpec;
  readonly capacity: number;
  readonly defaultCapacity: number;
}

/**
 * Throws `QUEUE_MISMATCH` where a queue is not as it is wanted. What means nothing in memory counts, too: a program
 * that defines one queue in two ways has to fail here as it would on RabbitMQ.
 */
export function checkMatches(wanted: QueueSpec, existing: ExistingQueue): void {
  const there = properties(existing.spec, existing.capacity);
  for (const [property, value] of Object.entries(
    properties(wanted, wanted.capacity ?? existing.defaultCapacity),
  )) {
    if (isDeepStrictEqual(value, there[property])) continue;
    throw new QueueError(
      'QUEUE_MISMATCH',
      `the queue '${wanted.name}' is there with ${property} ${quote(there[property])}, wanted is ${quote(value)}: ` +
        "define it alike everywhere, or take it as it is with declare: 'existing'",
    );
  }
}

function properties(spec: QueueSpec, capacity: number): Readonly<Record<string, unknown>> {
  const { type, durable, exclusive, autoDelete, deliveryLimit, maxPriority } = spec;
  return {
    capacity,
    deadLetter: spec.deadLetter === false ? false : spec.deadLetter.queue,
    type,
    durable,
    exclusive,
    autoDelete,
    deliveryLimit,
    maxPriority,
    arguments: spec.arguments,
  };
}
