import type { Broker } from '../broker.js';
import { checkOptionNames, invalidOption } from '../common/options.js';
import type { Queue } from '../queue.js';
import { type DropOptions, type DropResult, drop } from './drop.js';
import { type DeadLetterList, list } from './list.js';
import { type ReplayOptions, type ReplayResult, replay } from './replay.js';
import type { SelectionOptions } from './selection.js';
import type { Source } from './source.js';

export interface DeadLettersOptions {
  /** The dead-letter queue. Default: that of the queue's definition; where only a name is given, `<name>.dead`. */
  readonly queue?: string | undefined;
}

/**
 * The dead letters of a queue. Each call is about those that are there when it begins. It takes what it looks at and
 * puts back what it leaves: order and number stay as they are, and no delivery limit is used up. (A quorum queue puts a
 * part of it that is looked at behind what was looked at before; RabbitMQ before 4.3 behind all the rest.) Meanwhile
 * other consumers of the dead-letter queue do not see those letters. About 64 MiB of letters are held at most; those
 * beyond are not looked at, and the result tells.
 *
 * All reject: `INVALID_OPTION`; `QUEUE_MISSING` where neither the queue nor its dead-letter queue is there; `TIMEOUT`,
 * `ABORTED`, `CLOSED`, and what `Broker.subscribe` rejects with.
 */
export interface DeadLetters {
  /** The name of the dead-letter queue. */
  readonly queue: string;
  /** Returns letters, the first of the queue first; 100 unless `limit` says otherwise. */
  list(options?: SelectionOptions): Promise<DeadLetterList>;
  /**
   * Sends letters back to the queues that they were messages of, in their order, without their history and under their
   * ids, and removes each when it is stored there: a crash leaves in both places those
   * whose removal had not been stored yet, and none in neither. One that fails again meanwhile is left for the next call. Where the queue's definition was given,
   * its letters have to fit the schema.
   * Rejects besides with what ends it early: `TIMEOUT` where a queue has no room within `timeoutMs`, `UNCONFIRMED` and
   * so on; `observe` was told what was done until then.
   */
  replay(options?: ReplayOptions): Promise<ReplayResult>;
  /** Removes letters for good. */
  drop(options?: DropOptions): Promise<DropResult>;
}

/**
 * The dead letters of a queue: to look at, to send back, to remove.
 *
 * ```ts
 * const dead = deadLetters(broker, orders);
 * const { letters, total } = await dead.list({ reason: 'failed' });
 * await dead.replay({ reason: 'failed', rate: 50 });
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function deadLetters(
  broker: Broker,
  queue: string | Pick<Queue<never, unknown>, 'name' | 'spec' | 'decode'>,
  options?: DeadLettersOptions,
): DeadLetters {
  checkOptionNames('deadLetters', options, ['queue']);
  const source: Source = {
    broker,
    name: typeof queue === 'string' ? queue : queue.name,
    deadLetterQueue: options?.queue ?? deadLetterQueueOf(queue),
    isNamed: options?.queue !== undefined,
    decode: typeof queue === 'string' ? undefined : (message) => queue.decode(message),
  };
  return {
    queue: source.deadLetterQueue,
    list: async (selection = {}) => list(source, selection),
    replay: async (selection = {}) => replay(source, selection),
    drop: async (selection = {}) => drop(source, selection),
  };
}

function deadLetterQueueOf(queue: string | Pick<Queue<never, unknown>, 'name' | 'spec'>): string {
  if (typeof queue === 'string') return `${queue}.dead`;
  const { deadLetter } = queue.spec;
  if (deadLetter !== false) return deadLetter.queue;
  throw invalidOption(
    'queue',
    `the name of a dead-letter queue, since '${queue.name}' drops its dead letters`,
    undefined,
  );
}
