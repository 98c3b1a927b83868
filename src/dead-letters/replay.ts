import type { Delivery, Message, WaitOptions } from '../broker.js';
import { booleanOption, errorText, invalidOption, observerOption } from '../common/options.js';
import { ConcurrencyLimit } from '../common/waiting/concurrency-limit.js';
import { withGrace, within } from '../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../errors.js';
import { brokerDeath, type DeadLetter } from './dead-letter.js';
import { RateLimit } from './rate-limit.js';
import { ReplayMark } from './replay-mark.js';
import { keyOf, ReturnedMessages } from './returned-messages.js';
import {
  beginScan,
  checkSelection,
  forEachSelected,
  type ScanResult,
  type SelectionOptions,
  type Source,
} from './selection.js';

/** Which dead letters to replay, to which queue and how fast. */
export interface ReplayOptions extends SelectionOptions {
  /** The queue to send them to. Default: the queue whose dead letters they are. */
  readonly to?: string | undefined;
  /** The maximum number per second. Default: no limit. */
  readonly rate?: number | undefined;
  /** Only check and report which dead letters would be replayed. Default: false. */
  readonly dryRun?: boolean | undefined;
  /** Called with the outcome of each dead letter. Its errors are ignored. */
  readonly observe?: ((event: ReplayEvent) => void) | undefined;
}

/** The outcome of one dead letter. */
export type ReplayEvent =
  /** It was stored in the queue `to` and removed from the dead-letter queue or, with `dryRun`, would be. */
  | { readonly type: 'replayed'; readonly deadLetter: DeadLetter; readonly to: string }
  /** It stays, because it does not fit its queue's schema. */
  | {
      readonly type: 'invalid';
      readonly deadLetter: DeadLetter;
      readonly to: string;
      readonly error: QueueError;
    }
  /** It stays, because it can't be stored in the queue `to`, or because it came from another queue. */
  | {
      readonly type: 'failed';
      readonly deadLetter: DeadLetter;
      readonly to: string;
      readonly error: QueueError;
    };

/** The result of `replay`. */
export interface ReplayResult extends ScanResult {
  /** How many were replayed or, with `dryRun`, would be. */
  readonly replayed: number;
  /** How many stay because they do not fit the schema. */
  readonly invalid: number;
  /** How many stay for another reason. */
  readonly failed: number;
}

/**
 * How long a dead letter may wait between its delivery and its turn: RabbitMQ takes back deliveries that are unsettled
 * after 30 minutes.
 */
const WINDOW_SECONDS = 60;

/** How many messages may be in flight at once. */
const MAX_UNDER_WAY = 50;

/** How long an aborted replay waits for messages in flight to be confirmed. */
const GRACE_MS = 1000;

/** Errors that concern one message or its queue; any other would affect the next message as well. */
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
  const mark = new ReplayMark();

  const report = (event: ReplayEvent) => {
    counts[event.type]++;
    observe?.(event);
  };

  const scan = await beginScan(source, selection, Math.max(1, Math.floor(rate * WINDOW_SECONDS)));
  if (scan === undefined) return { total: 0, scanned: 0, ...counts };
  const removed = new ReturnedMessages(scan);
  const kept = new ReturnedMessages(scan);
  const sending = new ConcurrencyLimit(MAX_UNDER_WAY);
  const grace = withGrace(selection.wait.signal, GRACE_MS);
  const wait = { ...selection.wait, signal: grace.signal };
  try {
    /** Rather takes another one that is like it for it, and leaves that for the next replay, than sends one twice. */
    const isSeen = (deadLetter: DeadLetter, delivery: Delivery) => {
      if (kept.takeBack(delivery) !== undefined) return true;
      const hasFailedAgain = mark.isOn(deadLetter.message);
      const back = hasFailedAgain ? undefined : removed.takeBack(delivery);
      // With a high priority it comes before others, which are to be read as well.
      if (hasFailedAgain || back?.was === 'handled') scan.uncount();
      return hasFailedAgain || back !== undefined;
    };
    const take = async (deadLetter: DeadLetter, delivery: Delivery) => {
      const key = keyOf(delivery);
      if (isSeen(deadLetter, delivery)) {
        // It stays, and may come back once more.
        kept.handled(key);
        return false;
      }
      const refusal =
        damage(deadLetter, options) ??
        (options.to === undefined ? foreignDeadLetter(deadLetter, source) : undefined) ??
        (await within(
          schemaMismatch(deadLetter, source),
          `checking dead letter ${deadLetter.id}`,
          selection.wait,
        ));
      if (refusal !== undefined) {
        report({ deadLetter, to, ...refusal });
        kept.handled(key);
        return false;
      }
      await rateLimit.step(selection.wait.signal);
      // A delivery whose connection was lost is in the queue again, and will be redelivered.
      if (!scan.holds(delivery)) return false;
      await sending.begin(async () => {
        const error = dryRun
          ? await checkTarget(source, to, wait)
          : await send(source, mark.put(deadLetter.message), to, wait);
        const isSent = error === undefined && !dryRun;
        const into = isSent ? removed : kept;
        if (scan.holds(delivery)) into.handled(key);
        else into.lost(key, deadLetter.message, true);
        if (isSent) scan.remove(delivery);
        report(
          error === undefined
            ? { type: 'replayed', deadLetter, to }
            : { type: 'failed', deadLetter, to, error },
        );
      });
      return true;
    };
    /** Large dead letters that are being sent are held, and leave no room for more. */
    const untilRoom = async () => {
      const isSending = sending.running > 0;
      await sending.ended();
      return isSending;
    };
    // What failed again may do so for another reason.
    const matches = (deadLetter: DeadLetter) =>
      mark.isOn(deadLetter.message) || selection.matches(deadLetter);
    await forEachSelected(scan, { ...selection, matches }, take, untilRoom);
    await sending.succeeded();
  } finally {
    await sending.ended();
    grace.release();
    await scan.end();
  }
  return { total: scan.total, scanned: scan.scanned, ...counts };
}

/** Whether the disk has damaged it. Such a message is sent only if it is selected explicitly. */
function damage(
  { id, reason, error }: DeadLetter,
  { ids, reason: wanted }: ReplayOptions,
): Refusal | undefined {
  if (reason !== 'damaged' || wanted === reason || ids?.includes(id)) return undefined;
  const text = `dead letter ${id}: ${error}; to send it as it is, select it by its id or by the reason 'damaged'`;
  return { type: 'failed', error: new QueueError('INVALID_MESSAGE', text) };
}

type Refusal = { readonly type: 'invalid' | 'failed'; readonly error: QueueError };

/**
 * The error for a dead letter that came from another queue. Only a dead-letter queue with a custom name may be shared:
 * in `<name>.dead` every message counts as one of `<name>`, regardless of its headers.
 */
function foreignDeadLetter(deadLetter: DeadLetter, { name, deadLetterQueue }: Source): Refusal | undefined {
  if (deadLetterQueue === `${name}.dead` || deadLetter.queue === undefined || deadLetter.queue === name)
    return undefined;
  if (brokerDeath(deadLetter.message.headers)?.queue === name) return undefined;
  const error = new QueueError(
    'UNROUTABLE',
    `dead letter ${deadLetter.id} came from '${deadLetter.queue}', not from '${name}': replay the dead letters of '${deadLetter.queue}', or name the queue to send it to`,
  );
  return { type: 'failed', error };
}

/** The error for a dead letter that does not fit the queue's schema, if that is known. */
async function schemaMismatch(
  deadLetter: DeadLetter,
  { decode, name }: Source,
): Promise<Refusal | undefined> {
  if (decode === undefined) return undefined;
  try {
    const decoded = await decode(deadLetter.message);
    if (decoded.ok) return undefined;
    const { code, error } = decoded.failure;
    const type = code === 'failed' ? 'failed' : 'invalid';
    const text = `dead letter ${deadLetter.id}: ${code} for '${name}': ${error}`;
    return { type, error: new QueueError('INVALID_MESSAGE', text) };
  } catch (cause) {
    const text = `dead letter ${deadLetter.id} can't be checked for '${name}': ${errorText(cause)}`;
    return { type: 'failed', error: new QueueError('INVALID_MESSAGE', text, { cause }) };
  }
}

/** Resolves to the error if the message can't be stored. Rejects with errors that affect all messages. */
async function send(
  { broker }: Source,
  message: Message,
  to: string,
  wait: WaitOptions,
): Promise<QueueError | undefined> {
  try {
    await broker.publish({ exchange: '', routingKey: to }, message, wait);
    return undefined;
  } catch (error) {
    if (isQueueError(error, ...OF_ONE_MESSAGE)) return error;
    throw error;
  }
}

/** Performs the checks that are possible without sending the message. */
async function checkTarget(
  { broker }: Source,
  to: string,
  wait: WaitOptions,
): Promise<QueueError | undefined> {
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
  throw invalidOption('rate', 'dead letters per second, above 0', rate);
}

function targetOption(to: string | undefined, { name, deadLetterQueue }: Source): string {
  const target = to ?? name;
  if (typeof target !== 'string' || target === '') throw invalidOption('to', "a queue's name", to);
  if (target !== deadLetterQueue) return target;
  throw invalidOption('to', 'a queue other than the dead-letter queue itself', to);
}
