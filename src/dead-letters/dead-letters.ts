import type { Broker, Delivery } from '../broker.js';
import {
  backendOf,
  booleanOption,
  checkOptionNames,
  invalidOption,
  observerOption,
} from '../common/options.js';
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

/** What `deadLetters` takes. All have defaults. */
export interface DeadLettersOptions {
  /** The dead-letter queue. Default: that of the queue's definition; if only a name is given, `<name>.dead`. */
  readonly queue?: string | undefined;
}

/**
 * The dead letters of a queue. Each call is about those that are there when it begins. It takes what it reads and
 * puts back what it leaves: order and number stay as they are, and no delivery limit is used up. (A quorum queue puts
 * those that were read behind those that were not; RabbitMQ before 4.3 does so with those that were read before.)
 * Meanwhile other consumers of the dead-letter queue do not see them. About 64 MiB are held at most; dead letters
 * beyond that are not read, and the result says so.
 *
 * All reject: `INVALID_OPTION`; `QUEUE_MISSING` if neither the queue nor its dead-letter queue exists; `TIMEOUT`,
 * `ABORTED`, `CLOSED`, and what `Broker.subscribe` rejects with.
 */
export interface DeadLetters {
  /** The name of the dead-letter queue. */
  readonly queue: string;
  /** Returns dead letters, the first of the queue first; 100 unless `limit` says otherwise. */
  list(options?: SelectionOptions): Promise<ListResult>;
  /**
   * Sends dead letters back to the queue, in their order, without their history and under their ids, and removes each
   * when it is stored there: after a crash those whose removal was not stored yet are in both places, and none is lost.
   * One that fails again meanwhile is left for the next call. If the queue's definition was given, they must fit its
   * schema.
   *
   * They go to the queue that was given to {@link deadLetters}, or to the one named by `to`. Their headers, which
   * anybody may have written, choose no other. If several queues share a dead-letter queue, those of another queue
   * stay, and count as `failed`.
   *
   * Also rejects with what ends it early: `TIMEOUT` if the queue has no room within `timeoutMs`, `UNCONFIRMED` and
   * so on; `observe` was called for what was done until then.
   */
  replay(options?: ReplayOptions): Promise<ReplayResult>;
  /** Removes dead letters for good. */
  drop(options?: DropOptions): Promise<DropResult>;
}

/** What `list` resolves to. */
export interface ListResult extends ScanResult {
  /** The first of the queue first. */
  readonly letters: readonly DeadLetter[];
}

/** Which dead letters to drop, and what bounds it. */
export interface DropOptions extends SelectionOptions {
  /** Drop none, only report which. Default: false. */
  readonly dryRun?: boolean | undefined;
  /** Called with each dead letter before it is dropped. What it throws or rejects with is ignored. */
  readonly observe?: ((letter: DeadLetter) => void) | undefined;
}

/** What `drop` resolves to. */
export interface DropResult extends ScanResult {
  /** How many were dropped; with `dryRun`, would be. */
  readonly dropped: number;
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
    broker: backendOf(broker),
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

const DEFAULT_LIST_LIMIT = 100;

async function list(source: Source, options: SelectionOptions): Promise<ListResult> {
  const selection = checkSelection('list', options, DEFAULT_LIST_LIMIT);
  const found: [Delivery, DeadLetter][] = [];
  const scan = await beginScan(source, selection);
  if (scan === undefined) return { total: 0, scanned: 0, letters: [] };
  try {
    await forEachSelected(scan, selection, (letter, delivery) => {
      found.push([delivery, letter]);
      return true;
    });
    const { total, scanned } = scan;
    // One whose link was lost has been read again since.
    const letters = found.filter(([delivery]) => scan.holds(delivery)).map(([, letter]) => letter);
    return { total, scanned, letters };
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
    await forEachSelected(scan, selection, (letter, delivery) => {
      // One whose link was lost is in the queue again, and is delivered again.
      if (!scan.holds(delivery)) return false;
      observe?.(letter);
      if (!dryRun) scan.remove(delivery);
      dropped++;
      return true;
    });
  } finally {
    await scan.end();
  }
  return { total: scan.total, scanned: scan.scanned, dropped };
}
