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

/** A property in which a queue differs from its definition. */
export interface Difference {
  readonly property: string;
  readonly there: unknown;
  readonly here: unknown;
}

/**
 * Properties without effect on local brokers count, too: a program that defines one queue in two ways must fail here as it
 * would on RabbitMQ.
 */
export function differencesOf(wanted: QueueSpec, existing: ExistingQueue): Difference[] {
  const there = properties(existing.spec, existing.capacity);
  return Object.entries(properties(wanted, wanted.capacity ?? existing.defaultCapacity))
    .filter(([property, here]) => !isDeepStrictEqual(here, there[property]))
    .map(([property, here]) => ({ property, there: there[property], here }));
}

/** Throws `QUEUE_MISMATCH` if an existing queue differs from its definition. */
export function checkMatches(wanted: QueueSpec, existing: ExistingQueue): void {
  const [first] = differencesOf(wanted, existing);
  if (first !== undefined) throw mismatchError(wanted.name, first);
}

export function mismatchError(queue: string, { property, there, here }: Difference): QueueError {
  return new QueueError(
    'QUEUE_MISMATCH',
    `the queue '${queue}' exists with ${property} ${quote(there)}, not ${quote(here)}: ` +
      "define it the same everywhere, or use it as it is with declare: 'existing'",
  );
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
