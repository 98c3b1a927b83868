import { setTimeout as delay } from 'node:timers/promises';
import { QueueError } from '../errors.js';

/** Rejects with `ABORTED` when the signal is aborted first. */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch {
    throwIfAborted(signal);
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new QueueError('ABORTED', 'going through the dead letters was aborted', { cause: signal.reason });
}

/** A signal that follows another one after a while, so that what is nearly done can end in order. */
export function withGrace(
  signal: AbortSignal | undefined,
  graceMs: number,
): { readonly signal: AbortSignal; readonly dispose: () => void } {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const follow = () => {
    timer = setTimeout(() => controller.abort(signal?.reason), graceMs);
  };
  signal?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    dispose: () => {
      signal?.removeEventListener('abort', follow);
      clearTimeout(timer);
    },
  };
}
