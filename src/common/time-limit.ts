import { setTimeout as delay } from 'node:timers/promises';
import type { WaitOptions } from '../broker.js';
import { QueueError } from '../errors.js';
import { onAbort } from './abort-listeners.js';

/** How long one answer of the broker may take, once asked. A live broker answers in milliseconds. */
export const RPC_LIMIT_MS = 10_000;

/** How long each step of an orderly end may take, before it is ended without the peer. */
export const CLOSE_LIMIT_MS = 2_000;

/**
 * The outcome of `work`, or `TIMEOUT` or `ABORTED` where that comes first. `work` itself goes on: what it needs
 * to be undone is its own concern, and a late failure of it is nobody's.
 */
export async function within<T>(
  work: Promise<T>,
  what: string,
  { signal, timeoutMs = Number.POSITIVE_INFINITY }: WaitOptions,
): Promise<T> {
  work.catch(() => {});
  throwIfAborted(signal, what);
  if (timeoutMs === Number.POSITIVE_INFINITY && signal === undefined) return work;
  let stop = () => {};
  const ended = new Promise<never>((_, reject) => {
    const unlisten = signal && onAbort(signal, () => reject(aborted(what, signal)));
    const timer =
      timeoutMs === Number.POSITIVE_INFINITY
        ? undefined
        : setTimeout(
            () => reject(new QueueError('TIMEOUT', `${what}: not within ${timeoutMs} ms`)),
            timeoutMs,
          );
    stop = () => {
      clearTimeout(timer);
      unlisten?.();
    };
  });
  try {
    return await Promise.race([work, ended]);
  } finally {
    stop();
  }
}

/** As `within`, for the steps of an end: how they fare makes no difference. */
export async function withinOrNot(work: Promise<unknown>, timeoutMs: number): Promise<void> {
  await within(work, 'closing', { timeoutMs }).catch(() => {});
}

export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw aborted(what, signal);
}

function aborted(what: string, signal: AbortSignal | undefined): QueueError {
  return new QueueError('ABORTED', `${what}: aborted`, { cause: signal?.reason });
}

/** Resolves after the time, or when the signal is aborted. Does not keep the process alive. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal, ref: false }).catch(() => {});
}
