/** Checks for queues that an earlier definition left behind: those of topics that had `unrouted: 'keep'`. */
import type { Backend, QueueSpec, QueueStats } from '../../broker.js';
import { count } from '../../common/reporting/count.js';
import { isQueueError } from '../../errors.js';
import { UNROUTED, unroutedSpec } from '../../topics/topic.js';
import type { TopologyModule } from '../import-module.js';
import { type Check, failure, warn } from './check.js';

/** Topics that do not keep unrouted events, and the queue left over if they once did. */
export function topicsWithoutKeep({
  definitions,
  queues,
}: TopologyModule): { readonly topic: string; readonly queue: QueueSpec }[] {
  return definitions.flatMap((definition) => {
    if (definition.kind !== 'topic' || definition.topic.unrouted === 'keep') return [];
    const topic = definition.topic.name;
    const queue = unroutedSpec(`${topic}.${UNROUTED}`);
    return queues.some(({ name }) => name === queue.name) ? [] : [{ topic, queue }];
  });
}

export async function* leftOverChecks(broker: Backend, topology: TopologyModule): AsyncGenerator<Check> {
  for (const { topic, queue } of topicsWithoutKeep(topology)) {
    try {
      const found = await contentOf(broker, queue);
      if (found === undefined) continue;
      const text = `'${queue.name}' is left over from unrouted: 'keep' of '${topic}', and holds ${count(found.held, 'message')}`;
      const advice = `millrace topology apply removes it${found.isUnused ? '' : ' once it is empty and not consumed'}`;
      yield warn('left over', text, advice, { queue: queue.name, held: found.held });
    } catch (error) {
      yield failure('left over', error);
    }
  }
}

/** Removes the queue and its dead-letter queue if they are empty and have no consumers; returns the removed ones. */
export async function removeLeftOver(broker: Backend, queue: QueueSpec): Promise<string[]> {
  const found = await contentOf(broker, queue);
  if (found === undefined || !found.isUnused) return [];
  for (const name of found.names) await broker.remove(name);
  return found.names;
}

interface Content {
  /** The queue and its dead-letter queue, as far as they exist. */
  readonly names: string[];
  readonly held: number;
  readonly isUnused: boolean;
}

/** Undefined if the queue does not exist. */
async function contentOf(broker: Backend, { name, deadLetter }: QueueSpec): Promise<Content | undefined> {
  const stats = await statsOf(broker, name);
  if (stats === undefined) return undefined;
  const deadName = deadLetter === false ? undefined : deadLetter.queue;
  const dead = deadName === undefined ? undefined : await statsOf(broker, deadName);
  const all = dead === undefined ? [stats] : [stats, dead];
  const held = all.reduce((sum, one) => sum + one.ready + (one.unsettled ?? 0) + (one.delayed ?? 0), 0);
  return {
    names: deadName === undefined || dead === undefined ? [name] : [name, deadName],
    held,
    isUnused: held === 0 && all.every(({ consumers }) => consumers === 0),
  };
}

async function statsOf(broker: Backend, queue: string): Promise<QueueStats | undefined> {
  try {
    return await broker.inspect(queue);
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISSING')) return undefined;
    throw error;
  }
}
