/** Checks that queues match their definitions. */
import type { Backend, QueueSpec } from '../../broker.js';
import type { QueueComparison } from '../../diagnose.js';
import { isQueueError } from '../../errors.js';
import { shellQuoted } from '../common-options.js';
import { EXIT } from '../exit-code.js';
import { type Check, fail, failure, ok, warn } from './check.js';

type Compare = (spec: QueueSpec) => Promise<readonly QueueComparison[]>;

/** `flags`: the flags that name the same broker, for hints. */
export async function* queueChecks(
  specs: readonly QueueSpec[],
  compare: Compare,
  flags: string,
): AsyncGenerator<Check> {
  for (const spec of specs) {
    try {
      const [queue, dead] = await compare(spec);
      if (queue !== undefined) yield queueCheck(spec, queue);
      if (dead !== undefined) yield deadLetterCheck(spec, dead, flags);
    } catch (error) {
      yield failure('queue', error);
    }
  }
}

/** Compares queues of a local broker, whose error says in one sentence what differs. */
export function compareThrough(broker: Backend): Compare {
  const compare = async (name: string, wanted?: QueueSpec): Promise<QueueComparison> => {
    const nothing = { name, differences: [], lacksDelayedRetry: false };
    try {
      const stats = await broker.inspect(name);
      // A check changes nothing: no binding either.
      const unbound = { bindings: undefined, unbind: undefined, fixed: true };
      if (wanted?.declare === 'match') await broker.declare({ ...wanted, ...unbound });
      return { ...nothing, stats };
    } catch (error) {
      if (isQueueError(error, 'QUEUE_MISSING')) return { ...nothing, stats: undefined };
      if (!isQueueError(error, 'QUEUE_MISMATCH')) throw error;
      return { ...nothing, stats: await broker.inspect(name), differences: [error.message] };
    }
  };
  return async (spec) => {
    const queue = await compare(spec.name, spec);
    return spec.deadLetter === false ? [queue] : [queue, await compare(spec.deadLetter.queue)];
  };
}

const REDECLARE = 'delete the queue so that it is declared again';

function queueCheck(
  spec: QueueSpec,
  { name, stats, differences, lacksDelayedRetry }: QueueComparison,
): Check {
  const facts = { queue: name, ...stats, differences };
  if (stats === undefined) {
    if (spec.declare !== 'existing')
      return ok('queue', `'${name}' does not exist yet; the first send or work creates it`, facts);
    return fail('queue', `'${name}' does not exist`, EXIT.empty, 'another program must create it', facts);
  }
  if (differences.length > 0) {
    const advice = `change the definition, use the queue as it is with declare: 'existing', or ${REDECLARE}`;
    return fail('queue', `'${name}' differs: ${differences.join(', ')}`, EXIT.failed, advice, facts);
  }
  if (lacksDelayedRetry) {
    const text = `'${name}' was declared without 'delayedRetry', so its retries use wait queues`;
    return warn('queue', text, `to let the queue delay them, ${REDECLARE}`, facts);
  }
  const state = `${count(stats.ready, 'message')} ready, ${count(stats.consumers, 'consumer')}`;
  const as = spec.declare === 'match' ? 'matches its definition' : 'exists and is used as it is';
  return ok('queue', `'${name}' ${as}; ${state}`, facts);
}

function deadLetterCheck(
  { name: queue }: QueueSpec,
  { name, stats, differences }: QueueComparison,
  flags: string,
): Check {
  const facts = { queue: name, ...stats, differences };
  if (stats === undefined) return ok('dead letters', `'${name}' does not exist yet: there are none`, facts);
  if (differences.length > 0) {
    const advice = `change the definition, or when it is empty, ${REDECLARE}`;
    return fail('dead letters', `'${name}' differs: ${differences.join(', ')}`, EXIT.failed, advice, facts);
  }
  if (stats.ready === 0) return ok('dead letters', `'${name}' is empty`, facts);
  return warn(
    'dead letters',
    `${stats.ready} in '${name}'`,
    `to list them: millrace dlq list -q ${shellQuoted(queue)}${flags}`,
    facts,
  );
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
