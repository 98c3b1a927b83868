import type { QueueSpec } from '../../broker.js';
import { quote } from '../../common/options.js';
import { QueueError } from '../../errors.js';
import { deadLetterSpecOf } from '../dead-letter-spec.js';
import { checkMatches } from '../queue-mismatch.js';
import { asStored, type StoredQueue } from './queue-description.js';
import type { QueueTable } from './queue-table.js';

/** Capacity where none was asked for: as many as the disk holds. */
export const DEFAULT_CAPACITY = Number.POSITIVE_INFINITY;

/** Makes sure that a queue and its dead-letter queue are there. Throws `QUEUE_MISSING` and `QUEUE_MISMATCH`. */
export function declareQueue(queues: QueueTable, given: QueueSpec): void {
  const spec = asStored(given);
  const existing = queues.byName(spec.name);
  if (existing === undefined && spec.declare === 'existing') throw queueMissing(spec.name);
  const deadLetters = deadLetterSpecOf(spec);
  const deadLetterSpec = deadLetters && asStored(deadLetters);
  // Both are checked before either is made: a refused declaration leaves nothing behind.
  if (spec.declare === 'match') {
    checkExisting(spec, existing);
    if (deadLetterSpec !== undefined) checkExisting(deadLetterSpec, queues.byName(deadLetterSpec.name));
  }
  const queue = existing ?? queues.create(spec, deadLetterSpec?.name);
  if (deadLetterSpec === undefined) return;
  if (queues.byName(deadLetterSpec.name) === undefined) queues.create(deadLetterSpec, undefined);
  // Also for a queue taken as it is, where it has none: rather kept in two places than dropped.
  if (queue.deadLetterQueue === undefined) queues.setDeadLetterQueue(queue, deadLetterSpec.name);
}

function queueMissing(name: string): QueueError {
  return new QueueError('QUEUE_MISSING', `there is no queue ${quote(name)} in the folder: declare it first`);
}

export function queueNamed(queues: QueueTable, name: string): StoredQueue {
  const queue = queues.byName(name);
  if (queue === undefined) throw queueMissing(name);
  return queue;
}

/** Undefined: its dead letters are dropped. */
export function deadLetterQueueOf(queues: QueueTable, queue: StoredQueue): StoredQueue | undefined {
  return queue.deadLetterQueue === undefined ? undefined : queues.byName(queue.deadLetterQueue);
}

export function capacityOf(queue: StoredQueue): number {
  return queue.spec.capacity ?? DEFAULT_CAPACITY;
}

function checkExisting(wanted: QueueSpec, existing: StoredQueue | undefined): void {
  if (existing === undefined) return;
  checkMatches(wanted, {
    spec: existing.spec,
    capacity: capacityOf(existing),
    defaultCapacity: DEFAULT_CAPACITY,
  });
}
