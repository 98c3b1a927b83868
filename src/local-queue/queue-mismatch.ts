import { isDeepStrictEqual } from 'node:util';
import type { QueueSpec } from '../broker.js';
import { quote } from '../common/options.js';
import { QueueError } from '../errors.js';

/** A queue that exists already: as it was declared, and its capacity by that and by default. */
interface ExistingQueue {
  readonly spec: QueueSpec;
  readonly capacity: number;
  readonly defaultCapacity: number;
}

/**
 * Throws `QUEUE_MISMATCH` if a queue differs from what is wanted. Properties that have no effect here count, too: a
 * program that defines one queue in two ways must fail here as it would on RabbitMQ.
 */
export function checkMatches(wanted: QueueSpec, existing: ExistingQueue): void {
  const there = properties(existing.spec, existing.capacity);
  for (const [property, value] of Object.entries(
    properties(wanted, wanted.capacity ?? existing.defaultCapacity),
  )) {
    if (isDeepStrictEqual(value, there[property])) continue;
    throw new QueueError(
      'QUEUE_MISMATCH',
      `the queue '${wanted.name}' exists with ${property} ${quote(there[property])}, not ${quote(value)}: ` +
        "define it the same everywhere, or use it as it is with declare: 'existing'",
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
