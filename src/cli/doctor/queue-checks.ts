/** Whether queues are as their definitions want them. */
import type { Broker, QueueSpec } from '../../broker.js';
import type { QueueComparison } from '../../diagnose.js';
import { isQueueError } from '../../errors.js';
import { EXIT } from '../exit-code.js';
import { type Check, fail, failure, ok, warn } from './check.js';

export type Compare = (spec: QueueSpec) => Promise<readonly QueueComparison[]>;

export async function* queueChecks(specs: readonly QueueSpec[], compare: Compare): AsyncGenerator<Check> {
  for (const spec of specs) {
    try {
      const [queue, dead] = await compare(spec);
      if (queue !== undefined) yield queueCheck(spec, queue);
      if (dead !== undefined) yield deadLetterCheck(spec, dead);
    } catch (error) {
      yield failure('queue', error);
    }
  }
}

/** On a local broker, which says of a queue what is wrong with it in one sentence. */
export function compareThrough(broker: Broker): Compare {
  const compare = async (name: string, wanted?: QueueSpec): Promise<QueueComparison> => {
    const nothing = { name, differences: [], lacksDelayedRetry: false };
    try {
      const stats = await broker.inspect(name);
      if (wanted?.declare === 'match') await broker.declare(wanted);
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

const ANEW = 'delete the queue and let it be declared anew';

function queueCheck(
  spec: QueueSpec,
  { name, stats, differences, lacksDelayedRetry }: QueueComparison,
): Check {
  const facts = { queue: name, ...stats, differences };
  if (stats === undefined) {
    if (spec.declare !== 'existing')
      return ok('queue', `'${name}' is not there yet; the first send or work makes it`, facts);
    return fail('queue', `'${name}' is not there`, EXIT.empty, 'it is to be made by somebody else', facts);
  }
  if (differences.length > 0) {
    const advice = `define it as it is there, take it as it is with declare: 'existing', or ${ANEW}`;
    return fail('queue', `'${name}' differs: ${differences.join(', ')}`, EXIT.failed, advice, facts);
  }
  if (lacksDelayedRetry) {
    const text = `'${name}' was made without 'delayedRetry': its retries take wait queues`;
    return warn('queue', text, `if it should delay them itself, ${ANEW}`, facts);
  }
  const state = `${stats.ready} messages ready, ${stats.consumers} subscribers`;
  const as = spec.declare === 'match' ? 'is as it is defined' : 'is there, and taken as it is';
  return ok('queue', `'${name}' ${as}; ${state}`, facts);
}

function deadLetterCheck({ name: queue }: QueueSpec, { name, stats, differences }: QueueComparison): Check {
  const facts = { queue: name, ...stats, differences };
  if (stats === undefined) return ok('dead letters', `'${name}' is not there yet; nothing is dead`, facts);
  if (differences.length > 0) {
    const advice = `define it as it is there, or ${ANEW} when it is empty`;
    return fail('dead letters', `'${name}' differs: ${differences.join(', ')}`, EXIT.failed, advice, facts);
  }
  if (stats.ready === 0) return ok('dead letters', `'${name}' is empty`, facts);
  return warn(
    'dead letters',
    `${stats.ready} in '${name}'`,
    `millrace dlq list -q ${queue} shows them`,
    facts,
  );
}
