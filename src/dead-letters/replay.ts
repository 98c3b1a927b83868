import { withGrace } from '../common/limits.js';
import { booleanOption, invalidOption } from '../common/options.js';
import type { QueueError } from '../errors.js';
import { ConcurrencyLimit } from './concurrency-limit.js';
import type { DeadLetter } from './dead-letter.js';
import { Outgoing } from './outgoing.js';
import { Pace } from './pace.js';
import { checkSelection, forEachSelected, type ScanResult, type SelectionOptions } from './selection.js';
import { beginWalk, type Source } from './source.js';

export interface ReplayOptions extends SelectionOptions {
  /** Where to send them. Default: each to the queue that it was a message of; to this one where nothing tells. */
  readonly to?: string | undefined;
  /** How many a second at most. Default: as fast as they are stored. */
  readonly rate?: number | undefined;
  /** Send none, only check and say which. Default: false. */
  readonly dryRun?: boolean | undefined;
  /** Told what became of each letter, when it is known. What it throws ends the replay. */
  readonly observe?: ((event: ReplayEvent) => void) | undefined;
}

/** What became of one letter. */
export type ReplayEvent =
  /** It is stored in the queue `to`, and no dead letter any more; with `dryRun`, would be. */
  | { readonly type: 'replayed'; readonly letter: DeadLetter; readonly to: string }
  /** It stays, since it does not fit its queue's schema. */
  | { readonly type: 'invalid'; readonly letter: DeadLetter; readonly to: string; readonly error: QueueError }
  /** It stays, since it can't be stored in the queue `to`: there is none, or none that takes it. */
  | { readonly type: 'failed'; readonly letter: DeadLetter; readonly to: string; readonly error: QueueError };

export interface ReplayResult extends ScanResult {
  /** How many are stored in their queues again; with `dryRun`, would be. */
  readonly replayed: number;
  /** How many do not fit the schema, and stay. */
  readonly invalid: number;
  /** How many could not be stored, and stay. */
  readonly failed: number;
}

/**
 * The longest that a letter waits for its turn after it was taken: RabbitMQ takes back, after 30 minutes, what is not
 * settled.
 */
const WINDOW_SECONDS = 60;

/** How many letters may be on their way at once. */
const MAX_UNDER_WAY = 50;

/** Of a replay that is aborted: a letter whose fate is not known yet has this long to be confirmed. */
const GRACE_MS = 1000;

export async function replay(source: Source, options: ReplayOptions): Promise<ReplayResult> {
  const selection = checkSelection('replay', options, Number.POSITIVE_INFINITY, [
    'to',
    'rate',
    'dryRun',
    'observe',
  ]);
  const dryRun = booleanOption('dryRun', options.dryRun, false);
  const rate = dryRun ? Number.POSITIVE_INFINITY : rateOption(options.rate);
  const to = targetOption(options.to, source);
  const { observe } = options;
  const pace = new Pace(rate);
  const counts = { replayed: 0, invalid: 0, failed: 0 };
  /**
   * A letter that fails again at once comes behind the others, unless it has a higher priority: then it must not be
   * sent again. As many as there were letters at the beginning.
   */
  const replayedIds = new Set<string>();

  const tell = (event: ReplayEvent) => {
    counts[event.type]++;
    observe?.(event);
  };

  const walk = await beginWalk(source, selection, Math.max(1, Math.floor(rate * WINDOW_SECONDS)));
  if (walk === undefined) return { total: 0, examined: 0, ...counts };
  const sending = new ConcurrencyLimit(MAX_UNDER_WAY);
  const grace = withGrace(selection.wait.signal, GRACE_MS);
  const outgoing = new Outgoing(source, { ...selection.wait, signal: grace.signal });
  try {
    await forEachSelected(walk, selection, async (letter, delivery) => {
      if (replayedIds.has(letter.id)) return false;
      const about = { letter, to: to ?? letter.queue ?? source.name };
      const misfit = await outgoing.check(about);
      if (misfit !== undefined) {
        tell({ type: 'invalid', ...about, error: misfit });
        return false;
      }
      await pace.step(selection.wait.signal);
      // One whose link was lost is in the queue again, and comes again.
      if (!walk.holds(delivery)) return false;
      replayedIds.add(letter.id);
      await sending.begin(async () => {
        const failure = dryRun ? await outgoing.tryOut(about) : await outgoing.send(about);
        if (failure === undefined && !dryRun) walk.remove(delivery);
        tell(
          failure === undefined
            ? { type: 'replayed', ...about }
            : { type: 'failed', ...about, error: failure },
        );
      });
      return true;
    });
    await sending.succeeded();
  } finally {
    await sending.ended();
    grace.release();
    await walk.end();
  }
  return { total: walk.total, examined: walk.examined, ...counts };
}

function rateOption(rate: number | undefined): number {
  if (rate === undefined) return Number.POSITIVE_INFINITY;
  if (typeof rate === 'number' && rate > 0) return rate;
  throw invalidOption('rate', 'letters a second, above 0', rate);
}

function targetOption(to: string | undefined, { deadLetterQueue }: Source): string | undefined {
  if (to === undefined) return undefined;
  if (typeof to !== 'string' || to === '') throw invalidOption('to', "a queue's name", to);
  if (to === deadLetterQueue)
    throw invalidOption('to', 'another queue than the dead-letter queue itself', to);
  return to;
}
