import { isDeepStrictEqual } from 'node:util';
import type { QueueSpec } from '../../../broker.js';
import { deadLetterSpecOf } from '../../../common/definitions/queue-spec.js';
import { quote } from '../../../common/options.js';
import { QueueError } from '../../../errors.js';
import { changesDeadLetterTarget, deadLetterTargetOf, missingDeadLetterSpec } from '../../local-broker.js';
import { type Difference, differencesOf, mismatchError } from '../../queue-mismatch.js';
import { DEFAULT_CAPACITY, type QueueTable, type StoredQueue } from './queue-table.js';
import { asStored } from './stored-spec.js';
import type { WriteTransaction } from './transaction.js';

/** Properties that do not affect existing messages: a newer definition changes them. */
type Changeable = Pick<QueueSpec, 'capacity' | 'deadLetter' | 'deliveryLimit' | 'onExpired'>;

/**
 * Ensures that a queue and its dead-letter queue exist, and returns the changes to an existing queue. `owner`: the
 * owner of an exclusive queue. Throws `QUEUE_MISSING` and `QUEUE_MISMATCH`.
 */
export function declareQueue(
  transaction: Pick<WriteTransaction, 'queues' | 'exchanges' | 'wakesOthers'>,
  given: QueueSpec,
  owner: number | undefined,
): string[] {
  const { queues, exchanges } = transaction;
  // Exchanges and bindings are stored in their own tables.
  const { bindings, unbind, ...spec } = asStored(given);
  const existing = queues.byName(spec.name);
  if (existing === undefined && spec.declare === 'existing') throw queueMissing(spec.name);
  const deadLetters = deadLetterSpecOf(spec);
  const deadLetterSpec = deadLetters && asStored(deadLetters);
  const changes: string[] = [];
  exchanges.check({ bindings });
  // Both are checked before either is created: a refused declaration leaves nothing behind.
  if (spec.declare === 'match') {
    checkExisting(spec, existing);
    const existingDeadLetters = deadLetterSpec && queues.byName(deadLetterSpec.name);
    if (deadLetterSpec !== undefined) checkExisting(deadLetterSpec, existingDeadLetters);
    if (existing !== undefined) changes.push(...change(queues, existing, spec));
    // Only explicit properties: the dead-letter queue may have its own definition.
    if (existingDeadLetters !== undefined && deadLetterSpec?.capacity !== undefined) {
      changes.push(
        ...change(queues, existingDeadLetters, {
          ...existingDeadLetters.spec,
          capacity: deadLetterSpec.capacity,
        }),
      );
    }
  }
  const queue = queues.byName(spec.name) ?? queues.create(spec, deadLetterTargetOf(deadLetterSpec), owner);
  const hasUnbound = exchanges.bind(queue, { bindings, unbind });
  // Publishes that wait for room in the queue: it may have more now, or they may need none there any more.
  if (hasUnbound || changes.length > 0) transaction.wakesOthers = true;
  if (deadLetterSpec === undefined) return changes;
  const exists = (name: string) => queues.byName(name) !== undefined;
  if (!exists(deadLetterSpec.name)) queues.create(deadLetterSpec, deadLetterTargetOf(undefined), undefined);
  if (changesDeadLetterTarget(spec, deadLetterSpec, queue, exists))
    queues.update(queue, deadLetterTargetOf(deadLetterSpec));
  return changes;
}

/** Undefined: its dead letters are dropped. A dead-letter queue that was removed is created again. */
export function ensureDeadLetterQueue(queues: QueueTable, queue: StoredQueue): StoredQueue | undefined {
  const existing = queues.deadLetterQueueOf(queue);
  if (existing !== undefined) return existing;
  const missing = missingDeadLetterSpec(queue);
  return missing && queues.create(asStored(missing), deadLetterTargetOf(undefined), undefined);
}

export function queueMissing(name: string): QueueError {
  return new QueueError(
    'QUEUE_MISSING',
    `there is no queue ${quote(name)} in the folder: declare it first, or check the name`,
  );
}

export function queueNamed(queues: QueueTable, name: string): StoredQueue {
  const queue = queues.byName(name);
  if (queue === undefined) throw queueMissing(name);
  return queue;
}

/** The comparison of a definition with the existing queue. */
export interface DefinitionComparison {
  /** Properties whose mismatch refuses a declaration. */
  readonly differences: readonly Difference[];
  /** Properties that a declaration changes. */
  readonly changes: readonly Difference[];
}

/** Both as {@link asStored}. */
export function compareDefinitions(wanted: QueueSpec, existing: QueueSpec): DefinitionComparison {
  const isFixed = wanted.fixed === true || existing.fixed === true;
  const { capacity, deadLetter, deliveryLimit }: Changeable = isFixed ? existing : wanted;
  const differences = differencesOf(wanted, {
    spec: { ...existing, capacity, deadLetter, deliveryLimit },
    capacity: capacity ?? DEFAULT_CAPACITY,
    defaultCapacity: DEFAULT_CAPACITY,
  });
  const before = changeableOf(existing);
  const changes = Object.entries(changeableOf(wanted))
    .filter(([property, here]) => !isDeepStrictEqual(before[property], here))
    .map(([property, here]) => ({ property, there: before[property], here }));
  return { differences, changes };
}

function checkExisting(wanted: QueueSpec, existing: StoredQueue | undefined): void {
  if (existing === undefined) return;
  const [first] = compareDefinitions(wanted, existing.spec).differences;
  if (first !== undefined) throw mismatchError(wanted.name, first);
}

/** The newest definition wins. Returns its changes, in words. */
function change(queues: QueueTable, existing: StoredQueue, wanted: QueueSpec): string[] {
  const { changes } = compareDefinitions(wanted, existing.spec);
  if (changes.length === 0) return [];
  const { capacity, deadLetter, deliveryLimit, onExpired } = wanted;
  const target =
    changes.some(({ property }) => property === 'deadLetter') && deadLetterTargetOf(deadLetterSpecOf(wanted));
  queues.update(existing, {
    spec: { ...existing.spec, capacity, deadLetter, deliveryLimit, onExpired },
    ...target,
  });
  return changes.map(
    ({ property, there, here }) => `${property} of '${wanted.name}' from ${quote(there)} to ${quote(here)}`,
  );
}

function changeableOf(spec: QueueSpec): Record<string, unknown> {
  return {
    capacity: spec.capacity ?? DEFAULT_CAPACITY,
    deadLetter: spec.deadLetter === false ? false : spec.deadLetter.queue,
    deliveryLimit: spec.deliveryLimit,
    onExpired: spec.onExpired ?? 'dead-letter',
  };
}
