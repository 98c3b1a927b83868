import type { WaitOptions } from '../../broker.js';
import { QueueError } from '../../errors.js';
import { unwatchAbort, watchAbort } from '../abort-watch.js';

/** What has to resolve whatever the store thread is at: it may be blocked by the disk, or by a process that stands still. */
const LIMIT_MS = 5000;

/** Resolves when `work` has settled, or else after the limit. */
export function withinTime(work: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LIMIT_MS);
    const settled = (): void => {
      clearTimeout(timer);
      resolve();
    };
    work.then(settled, settled);
  });
}

/** Settles as `work` does, or rejects with `TIMEOUT` or `ABORTED` where that comes first. */
export function withinLimits<T>(
  work: Promise<T>,
  { signal, timeoutMs }: WaitOptions,
  action: string,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    const onAbort = (): void => {
      settled();
      reject(new QueueError('ABORTED', `${action}: aborted by the signal`, { cause: signal?.reason }));
    };
    const settled = (): void => {
      clearTimeout(timer);
      if (signal !== undefined) unwatchAbort(signal, onAbort);
    };
    if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
      timer = setTimeout(() => {
        settled();
        reject(new QueueError('TIMEOUT', `${action}: no answer within ${timeoutMs} ms`));
      }, timeoutMs);
    }
    if (signal !== undefined) watchAbort(signal, onAbort);
    work.finally(settled).then(resolve, reject);
  });
}
