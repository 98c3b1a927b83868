import type { Broker, Delivery } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { booleanOption, checkOptionNames, invalidOption, observerOption } from '../common/options.js';
import type { Queue } from '../queue.js';
import type { DeadLetter } from './dead-letter.js';
import { type ReplayOptions, type ReplayResult, replay } from './replay.js';
import {
  beginScan,
  checkSelection,
  forEachSelected,
  type ScanResult,
  type SelectionOptions,
  type Source,
} from './selection.js';

/** The options of `deadLetters`. All have defaults. */
export interface DeadLettersOptions {
  /** The dead-letter queue. Default: the one in the queue's definition, or `<name>.dead` if only a name is given. */
  readonly queue?: string | undefined;
}

/**
 * The dead letters of a queue. Each call works on those that are in the dead-letter queue when it starts. It consumes
 * the messages that it reads and returns those that stay: their order and number do not change, and no delivery limit
 * is used up. (A quorum queue puts messages that were read behind those that were not; RabbitMQ before 4.3 puts them
 * behind all others.) During the call other consumers of the dead-letter queue do not see them. A call holds at most
 * about 64 MiB; it does not read dead letters beyond that, and its result says so.
 *
 * All reject: `INVALID_OPTION`; `QUEUE_MISSING` if neither the queue nor its dead-letter queue exists; `TIMEOUT`,
 * `ABORTED`, `CLOSED`, and what `Broker.subscribe` rejects with.
 */
export interface DeadLetters {
  /** The name of the dead-letter queue. */
  readonly queue: string;
  /** Lists dead letters in the order of the queue; at most 100 unless `limit` says otherwise. */
  list(options?: SelectionOptions): Promise<ListResult>;
  /**
   * Sends dead letters back to the queue, in order, without their history and with the same ids, and removes each one
   * when it is stored there. After a crash a message whose removal was not stored yet is in both queues; none is lost.
   * A message that fails again during the call is left for the next one. If the queue's definition was given, dead
   * letters must fit its schema.
   *
   * Messages are sent to the queue that was given to {@link deadLetters}, or to the one named by `to`, and never to a
   * queue named in their headers, which any client may have written. If several queues share a dead-letter queue, the
   * messages of the others stay, and count as `failed`.
   *
   * Also rejects with the error that ends it early: `TIMEOUT` if the queue has no room within `timeoutMs`,
   * `UNCONFIRMED` and so on. `observe` has been called for everything done before.
   */
  replay(options?: ReplayOptions): Promise<ReplayResult>;
  /** Removes dead letters for good. */
  drop(options?: DropOptions): Promise<DropResult>;
}

/** The result of `list`. */
export interface ListResult extends ScanResult {
  /** In the order of the queue. */
  readonly deadLetters: readonly DeadLetter[];
}

/** Which dead letters to drop, and limits. */
export interface DropOptions extends SelectionOptions {
  /** Only report which dead letters would be dropped. Default: false. */
  readonly dryRun?: boolean | undefined;
  /** Called with each dead letter before it is dropped. Its errors are ignored. */
  readonly observe?: ((deadLetter: DeadLetter) => void) | undefined;
}

/** The result of `drop`. */
export interface DropResult extends ScanResult {
  /** How many dead letters were dropped or, with `dryRun`, would be. */
  readonly dropped: number;
}

/**
 * Lists, replays and drops the dead letters of a queue.
 *
 * ```ts
 * const dead = deadLetters(broker, orders);
 * const { deadLetters, total } = await dead.list({ reason: 'failed' });
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
  const backend = backendOf(broker);
  const source: Source = {
    broker: backend,
    name: typeof queue === 'string' ? queue : queue.name,
    deadLetterQueue: options?.queue ?? deadLetterQueueOf(queue),
    isNamed: options?.queue !== undefined,
    decode:
      typeof queue === 'string' ? undefined : (message) => queue.decode(message, backend.maxMessageBytes),
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

const DEFAULT_LIST_LIMIT = 100;

async function list(source: Source, options: SelectionOptions): Promise<ListResult> {
  const selection = checkSelection('list', options, DEFAULT_LIST_LIMIT);
  const found: [Delivery, DeadLetter][] = [];
  const scan = await beginScan(source, selection);
  if (scan === undefined) return { total: 0, scanned: 0, deadLetters: [] };
  try {
    await forEachSelected(scan, selection, (deadLetter, delivery) => {
      found.push([delivery, deadLetter]);
      return true;
    });
    const { total, scanned } = scan;
    // A delivery whose connection was lost has been redelivered and read again.
    const deadLetters = found
      .filter(([delivery]) => scan.holds(delivery))
      .map(([, deadLetter]) => deadLetter);
    return { total, scanned, deadLetters };
  } finally {
    await scan.end();
  }
}

async function drop(source: Source, options: DropOptions): Promise<DropResult> {
  const selection = checkSelection('drop', options, Number.POSITIVE_INFINITY, ['dryRun', 'observe']);
  const dryRun = booleanOption('dryRun', options.dryRun, false);
  const observe = observerOption(options.observe);
  let dropped = 0;
  const scan = await beginScan(source, selection);
  if (scan === undefined) return { total: 0, scanned: 0, dropped };
  try {
    await forEachSelected(scan, selection, (deadLetter, delivery) => {
      // A delivery whose connection was lost is in the queue again, and will be redelivered.
      if (!scan.holds(delivery)) return false;
      observe?.(deadLetter);
      if (!dryRun) scan.remove(delivery);
      dropped++;
      return true;
    });
  } finally {
    await scan.end();
  }
  return { total: scan.total, scanned: scan.scanned, dropped };
}
