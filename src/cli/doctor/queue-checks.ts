/** Checks that queues match their definitions. */

import type { Backend, QueueSpec } from '../../broker.js';
import { count } from '../../common/reporting/count.js';
import { diagnoseStoredQueues, type QueueComparison } from '../../diagnose.js';
import { isQueueError } from '../../errors.js';
import { shellQuoted } from '../common-options.js';
import { EXIT } from '../exit-code.js';
import { type Check, fail, failure, ok, warn } from './check.js';

/** How a queue compares with its definition, on any broker. */
export type Compared = QueueComparison & {
  /** The properties that a declaration changes. */
  readonly changes?: readonly string[];
};

/** The queue of a definition and its dead-letter queue. */
export type Compare = (spec: QueueSpec) => Promise<readonly Compared[]>;

/** The missing queues and exchanges, by the name of the check. */
export type Missing = 'exchange' | 'queue' | 'dead letters';

/** `flags`: the flags that name the same broker, for hints. `missing`: the text for what a declaration would create. */
export async function* queueChecks(
  specs: readonly QueueSpec[],
  compare: Compare,
  flags: string,
  missing = createdLater,
): AsyncGenerator<Check> {
  for (const spec of specs) {
    try {
      const [queue, dead] = await compare(spec);
      if (queue !== undefined)
        yield isMissing(spec, queue) ? missing('queue', spec.name) : queueCheck(spec, queue);
      if (dead !== undefined) {
        yield isMissing(spec, dead) && spec.declare === 'match'
          ? missing('dead letters', dead.name)
          : deadLetterCheck(spec, dead, flags);
      }
    } catch (error) {
      yield failure('queue', error);
    }
  }
}

/** Whether a declaration would create it. */
function isMissing({ declare }: QueueSpec, { stats }: Compared): boolean {
  return stats === undefined && declare !== 'existing';
}

/** Processes declare what they need. */
export function createdLater(kind: Missing, name: string): Check {
  const facts = factsOf(kind, name);
  if (kind === 'dead letters') return ok(kind, `'${name}' does not exist yet: there are none`, facts);
  const by = kind === 'exchange' ? 'publisher or consumer' : 'send or work';
  return ok(kind, `'${name}' does not exist yet; the first ${by} creates it`, facts);
}

export function factsOf(kind: Missing, name: string): Check['facts'] {
  return { [kind === 'exchange' ? 'exchange' : 'queue']: name };
}

/** Reports every queue as missing: for brokers in memory, and for folders without a store. */
export async function compareWithNothing(spec: QueueSpec): Promise<readonly Compared[]> {
  const nothing = { stats: undefined, differences: [], lacksDelayedRetry: false };
  const names = [spec.name, ...(spec.deadLetter === false ? [] : [spec.deadLetter.queue])];
  return names.map((name) => ({ ...nothing, name }));
}

/** Compares queues in a folder, which `broker` has open. */
export function compareInFolder(broker: Backend, folder: string): Compare {
  const statsOf = (queue: string) =>
    countsOf(broker, queue).catch((error) => {
      if (isQueueError(error, 'QUEUE_MISSING')) return undefined;
      throw error;
    });
  return async (spec) => {
    const compared = await diagnoseStoredQueues(folder, spec);
    return Promise.all(
      compared.map(async (each) => ({
        ...each,
        stats: await statsOf(each.name),
        lacksDelayedRetry: false,
      })),
    );
  };
}

async function countsOf(broker: Backend, queue: string): Promise<NonNullable<QueueComparison['stats']>> {
  const { ready, consumers } = await broker.inspect(queue);
  return { ready, consumers };
}

const REDECLARE = 'delete the queue so that it is declared again';

function queueCheck(
  spec: QueueSpec,
  { name, stats, differences, lacksDelayedRetry, changes = [] }: Compared,
): Check {
  const facts = { queue: name, ...stats, differences, ...(changes.length > 0 && { changes }) };
  if (stats === undefined)
    return fail('queue', `'${name}' does not exist`, EXIT.empty, 'another program must create it', facts);
  if (differences.length > 0) {
    const advice = `change the definition, use the queue as it is with declare: 'existing', or ${REDECLARE}`;
    return fail('queue', `'${name}' differs: ${differences.join(', ')}`, EXIT.failed, advice, facts);
  }
  if (lacksDelayedRetry) {
    const text = `'${name}' was declared without 'delayedRetry', so its retries use wait queues`;
    return warn('queue', text, `to let the queue delay them, ${REDECLARE}`, facts);
  }
  if (changes.length > 0) return changesCheck('queue', name, changes, facts);
  const state = `${count(stats.ready, 'message')} ready, ${count(stats.consumers, 'consumer')}`;
  const as = spec.declare === 'match' ? 'matches its definition' : 'exists and is used as it is';
  return ok('queue', `'${name}' ${as}; ${state}`, facts);
}

function changesCheck(
  check: string,
  queue: string,
  changes: readonly string[],
  facts: Check['facts'],
): Check {
  const text = `'${queue}' has an earlier definition: ${changes.join(', ')}`;
  return warn(check, text, 'the next process that declares it changes that', facts);
}

function deadLetterCheck(
  { name: queue }: QueueSpec,
  { name, stats, differences, changes = [] }: Compared,
  flags: string,
): Check {
  const facts = { queue: name, ...stats, differences, ...(changes.length > 0 && { changes }) };
  if (stats === undefined) return ok('dead letters', `'${name}' does not exist yet: there are none`, facts);
  if (differences.length > 0) {
    const advice = `change the definition, or when it is empty, ${REDECLARE}`;
    return fail('dead letters', `'${name}' differs: ${differences.join(', ')}`, EXIT.failed, advice, facts);
  }
  if (changes.length > 0) return changesCheck('dead letters', name, changes, facts);
  if (stats.ready === 0) return ok('dead letters', `'${name}' is empty`, facts);
  return warn(
    'dead letters',
    `${stats.ready} in '${name}'`,
    `to list them: millrace dlq list -q ${shellQuoted(queue)}${flags}`,
    facts,
  );
}
