import type { WaitOptions } from '../broker.js';
import { withGrace } from '../common/limits.js';
import { booleanOption, errorText, invalidOption, observerOption } from '../common/options.js';
import { isQueueError, QueueError } from '../errors.js';
import { brokerDeath, type DeadLetter, withoutHistory } from './dead-letter.js';
import { ConcurrencyLimit, RateLimit } from './replay-limits.js';
import {
  beginScan,
  checkSelection,
  forEachSelected,
  type ScanResult,
  type SelectionOptions,
  type Source,
} from './selection.js';

/** Which dead letters to replay, where to and how fast. */
export interface ReplayOptions extends SelectionOptions {
  /** Where to send them. Default: the queue whose dead letters they are. */
  readonly to?: string | undefined;
  /** How many a second at most. Default: as fast as they are stored. */
  readonly rate?: number | undefined;
  /** Send none, only check and report which. Default: false. */
  readonly dryRun?: boolean | undefined;
  /** Called when it is known what became of a dead letter. What it throws or rejects with is ignored. */
  readonly observe?: ((event: ReplayEvent) => void) | undefined;
}

/** What became of one dead letter. */
export type ReplayEvent =
  /** It is stored in the queue `to`, and no dead letter any more; with `dryRun`, would be. */
  | { readonly type: 'replayed'; readonly letter: DeadLetter; readonly to: string }
  /** It stays, since it does not fit its queue's schema. */
  | { readonly type: 'invalid'; readonly letter: DeadLetter; readonly to: string; readonly error: QueueError }
  /** It stays, since it can't be stored in the queue `to`, or is a dead letter of another queue. */
  | { readonly type: 'failed'; readonly letter: DeadLetter; readonly to: string; readonly error: QueueError };

/** What `replay` resolves to. */
export interface ReplayResult extends ScanResult {
  /** How many are stored in the queue again; with `dryRun`, would be. */
  readonly replayed: number;
  /** How many do not fit the schema, and stay. */
  readonly invalid: number;
  /** How many could not be stored, and stay. */
  readonly failed: number;
}

/**
 * How long a dead letter may wait for its turn after it was taken: RabbitMQ takes back, after 30 minutes, what is not
 * settled.
 */
const WINDOW_SECONDS = 60;

/** How many may be under way at once. */
const MAX_UNDER_WAY = 50;

/** When a replay is aborted, a dead letter whose fate is not known yet has this long to be confirmed. */
const GRACE_MS = 1000;

/** Errors that are about one message or its queue; any other would hit the next one as well. */
const OF_ONE_MESSAGE = ['UNROUTABLE', 'REFUSED', 'INVALID_MESSAGE', 'TOO_LARGE'] as const;

export async function replay(source: Source, options: ReplayOptions): Promise<ReplayResult> {
  const names = ['to', 'rate', 'dryRun', 'observe'];
  const selection = checkSelection('replay', options, Number.POSITIVE_INFINITY, names);
  const dryRun = booleanOption('dryRun', options.dryRun, false);
  const rate = dryRun ? Number.POSITIVE_INFINITY : rateOption(options.rate);
  const to = targetOption(options.to, source);
  const observe = observerOption(options.observe);
  const rateLimit = new RateLimit(rate);
  const counts = { replayed: 0, invalid: 0, failed: 0 };
  /**
   * One that fails again at once comes behind the others, unless it has a higher priority: then it must not be sent
   * again. As many as there were dead letters at the beginning.
   */
  const replayedIds = new Set<string>();

  const report = (event: ReplayEvent) => {
    counts[event.type]++;
    observe?.(event);
  };

  const scan = await beginScan(source, selection, Math.max(1, Math.floor(rate * WINDOW_SECONDS)));
  if (scan === undefined) return { total: 0, scanned: 0, ...counts };
  const sending = new ConcurrencyLimit(MAX_UNDER_WAY);
  const grace = withGrace(selection.wait.signal, GRACE_MS);
  const wait = { ...selection.wait, signal: grace.signal };
  try {
    await forEachSelected(scan, selection, async (letter, delivery) => {
      if (replayedIds.has(letter.id)) return false;
      const refusal =
        (options.to === undefined ? strangeness(letter, source) : undefined) ??
        (await misfit(letter, source));
      if (refusal !== undefined) {
        report({ letter, to, ...refusal });
        return false;
      }
      await rateLimit.step(selection.wait.signal);
      // One whose link was lost is in the queue again, and is delivered again.
      if (!scan.holds(delivery)) return false;
      replayedIds.add(letter.id);
      await sending.begin(async () => {
        const error = dryRun ? await tryOut(source, to, wait) : await send(source, letter, to, wait);
        if (error === undefined && !dryRun) scan.remove(delivery);
        report(
          error === undefined ? { type: 'replayed', letter, to } : { type: 'failed', letter, to, error },
        );
      });
      return true;
    });
    await sending.succeeded();
  } finally {
    await sending.ended();
    grace.release();
    await scan.end();
  }
  return { total: scan.total, scanned: scan.scanned, ...counts };
}

type Refusal = { readonly type: 'invalid' | 'failed'; readonly error: QueueError };

/**
 * Whether it is a dead letter of another queue. Only a dead-letter queue with a name of its own may be shared; in
 * `<name>.dead` no header makes a dead letter anybody else's.
 */
function strangeness(letter: DeadLetter, { name, deadLetterQueue }: Source): Refusal | undefined {
  if (deadLetterQueue === `${name}.dead` || letter.queue === undefined || letter.queue === name)
    return undefined;
  if (brokerDeath(letter.message.headers)?.queue === name) return undefined;
  const error = new QueueError(
    'UNROUTABLE',
    `dead letter ${letter.id} is one of '${letter.queue}', not of '${name}': replay it for that queue, or say where to send it (to)`,
  );
  return { type: 'failed', error };
}

/** Whether it does not fit the queue's schema, if that is known. */
async function misfit(letter: DeadLetter, { decode, name }: Source): Promise<Refusal | undefined> {
  if (decode === undefined) return undefined;
  try {
    const decoded = await decode(letter.message);
    if (decoded.ok) return undefined;
    const { code, error } = decoded.failure;
    const type = code === 'failed' ? 'failed' : 'invalid';
    const text = `dead letter ${letter.id} is ${code} for '${name}': ${error}`;
    return { type, error: new QueueError('INVALID_MESSAGE', text) };
  } catch (cause) {
    const text = `dead letter ${letter.id} can't be checked for '${name}': ${errorText(cause)}`;
    return { type: 'failed', error: new QueueError('INVALID_MESSAGE', text, { cause }) };
  }
}

/** Resolves when it is stored; to the error if it can't be. Rejects with what would hit every dead letter. */
async function send(
  { broker }: Source,
  letter: DeadLetter,
  to: string,
  wait: WaitOptions,
): Promise<QueueError | undefined> {
  try {
    await broker.publish({ exchange: '', routingKey: to }, withoutHistory(letter.message), wait);
    return undefined;
  } catch (error) {
    if (isQueueError(error, ...OF_ONE_MESSAGE)) return error;
    throw error;
  }
}

/** As far as it is known without sending it. */
async function tryOut({ broker }: Source, to: string, wait: WaitOptions): Promise<QueueError | undefined> {
  try {
    await broker.inspect(to, wait);
    return undefined;
  } catch (error) {
    if (isQueueError(error, 'QUEUE_MISSING')) return error;
    throw error;
  }
}

function rateOption(rate: number | undefined): number {
  if (rate === undefined) return Number.POSITIVE_INFINITY;
  if (typeof rate === 'number' && rate > 0) return rate;
  throw invalidOption('rate', 'dead letters a second, above 0', rate);
}

function targetOption(to: string | undefined, { name, deadLetterQueue }: Source): string {
  const target = to ?? name;
  if (typeof target !== 'string' || target === '') throw invalidOption('to', "a queue's name", to);
  if (target !== deadLetterQueue) return target;
  throw invalidOption('to', 'another queue than the dead-letter queue itself', to);
}
