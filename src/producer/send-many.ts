import { setMaxListeners } from 'node:events';
import { Deferred, onAbort } from '../common/limits.js';
import { invalidOption } from '../common/options.js';
import { isQueueError, QueueError, type SendManyProgress } from '../errors.js';

export type Values<T> = Iterable<T> | AsyncIterable<T>;

export interface SendManyResult {
  /** How many values are stored: all that the iterable gave. */
  readonly stored: number;
}

/**
 * How many sends are under way at once. As many as a RabbitMQ broker leaves unconfirmed by default; the backend
 * makes them wait where its own window is smaller.
 */
const WINDOW = 1000;

/**
 * A full window is filled again when so many are left. Woken by each answer, the loop would spend more time on being
 * woken than on sending; woken too late, it would let the broker wait.
 */
const REFILL_AT = 800;

/**
 * Sends each value with what `sender` gives for the signal that ends them all, up to {@link WINDOW} at once.
 *
 *   taking ──(values at their end)──► settling ──► resolved
 *      └──(a send fails, the iterable throws, the signal is aborted)──► settling ──► rejected, with progress
 */
export async function sendAll<T>(
  values: Values<T>,
  sender: (signal: AbortSignal | undefined) => (value: T) => Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<SendManyResult> {
  // Each send under way listens to this one, which is made for that many; the caller's gets one listener.
  const sends = signal === undefined ? undefined : new AbortController();
  if (sends !== undefined) setMaxListeners(WINDOW, sends.signal);
  const send = sender(sends?.signal);
  const failed: { position: number; error: QueueError }[] = [];
  let taken = 0;
  let underWay = 0;
  /** The loop below is woken when so many are left under way. */
  let wakeAt = REFILL_AT;
  let stop: QueueError | undefined;
  /** Ends the one wait that the loop below is in, if it is in one. */
  let wake: () => void = () => {};

  const stopWith = (error: QueueError) => {
    stop ??= error;
    wake();
  };
  const settled = () => {
    underWay--;
    if (underWay === wakeAt) wake();
  };
  const start = (value: T) => {
    const position = taken++;
    underWay++;
    const onFailed = (reason: unknown) => {
      const error = asQueueError(reason);
      failed.push({ position, error });
      stopWith(error);
      settled();
    };
    try {
      send(value).then(settled, onFailed);
    } catch (error) {
      onFailed(error);
    }
  };
  const until = async (done: () => boolean) => {
    while (!done()) {
      const woken = new Deferred();
      wake = woken.resolve;
      await woken.promise;
    }
  };

  const abort = () => {
    stopWith(aborted(signal?.reason));
    sends?.abort(signal?.reason);
  };
  if (signal?.aborted) abort();
  const unlisten = signal && onAbort(signal, abort);
  const iterator = iteratorOf(values);
  try {
    while (stop === undefined) {
      const step = takeNext(iterator);
      let next: Step<T> | undefined;
      if (step instanceof Promise) {
        step.then((settled) => {
          next = settled;
          wake();
        });
        await until(() => next !== undefined || stop !== undefined);
      } else {
        next = step;
      }
      if (next === undefined || next.type === 'end') break;
      if (next.type === 'error') {
        stopWith(aborted(next.error));
        break;
      }
      start(next.value);
      if (underWay >= WINDOW) await until(() => underWay <= REFILL_AT || stop !== undefined);
    }
    if (stop !== undefined) release(iterator);
    wakeAt = 0;
    await until(() => underWay === 0);
  } finally {
    unlisten?.();
  }
  if (stop === undefined) return { stored: taken };
  failed.sort((a, b) => a.position - b.position);
  throw withProgress(stop, { taken, stored: taken - failed.length, failed });
}

type Step<T> =
  | { readonly type: 'value'; readonly value: T }
  | { readonly type: 'end' }
  | { readonly type: 'error'; readonly error: unknown };

/** The next value, whatever kind of iterator it comes from; a promise only where the iterator gives one. */
function takeNext<T>(iterator: Iterator<T> | AsyncIterator<T>): Step<T> | Promise<Step<T>> {
  try {
    const result = iterator.next();
    return 'then' in result
      ? Promise.resolve(result)
          .then(toStep<T>)
          .catch(toError<T>)
      : toStep(result);
  } catch (error) {
    return toError(error);
  }
}

function toStep<T>(result: IteratorResult<T>): Step<T> {
  return result.done === true ? { type: 'end' } : { type: 'value', value: result.value };
}

function toError<T>(error: unknown): Step<T> {
  return { type: 'error', error };
}

/** Lets the iterator clean up. Not awaited: a generator that hangs in an await of its own must not hold us. */
function release(iterator: Iterator<unknown> | AsyncIterator<unknown>): void {
  try {
    Promise.resolve(iterator.return?.()).catch(() => {});
  } catch {
    // The send's own error is the one to report.
  }
}

function iteratorOf<T>(values: Values<T>): Iterator<T> | AsyncIterator<T> {
  if (typeof values === 'object' && values !== null) {
    if (Symbol.asyncIterator in values) return values[Symbol.asyncIterator]();
    if (Symbol.iterator in values) return values[Symbol.iterator]();
  }
  throw invalidOption('sendMany', 'an iterable or async iterable of values', values);
}

function aborted(cause: unknown): QueueError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new QueueError('ABORTED', `sendMany was ended before the last value: ${text}`, { cause });
}

function asQueueError(error: unknown): QueueError {
  if (isQueueError(error)) return error;
  return new QueueError('BROKER_ERROR', `sending failed: ${error instanceof Error ? error.message : error}`, {
    cause: error,
  });
}

function withProgress(error: QueueError, progress: SendManyProgress): QueueError {
  const { taken, stored } = progress;
  return new QueueError(
    error.code,
    `sendMany stopped with ${stored} of the ${taken} values taken stored: ${error.message}`,
    { cause: error.cause ?? error, progress },
  );
}
