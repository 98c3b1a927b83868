import { isQueueError, type QueueError, type QueueErrorCode } from '../../src/errors.js';

/** The QueueError with one of `codes` that the promise rejects with; all else fails the test. */
export async function rejection(promise: Promise<unknown>, ...codes: QueueErrorCode[]): Promise<QueueError> {
  const error = await promise.then(
    () => new Error(`resolved, where it should have rejected with ${codes.join(' or ')}`),
    (reason: unknown) => reason,
  );
  if (isQueueError(error, ...codes)) return error;
  throw error;
}

/** Watches a promise without waiting for it. */
export function watch(promise: Promise<unknown>): { readonly state: 'pending' | 'resolved' | 'rejected' } {
  const watched: { state: 'pending' | 'resolved' | 'rejected' } = { state: 'pending' };
  promise.then(
    () => {
      watched.state = 'resolved';
    },
    () => {
      watched.state = 'rejected';
    },
  );
  return watched;
}
