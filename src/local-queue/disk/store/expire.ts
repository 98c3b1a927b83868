import { expiredFailure } from '../../../common/expiry.js';
import { makeDeadLetter } from './settle.js';
import { MAX_ROWS_PER_TRANSACTION, type WriteTransaction } from './transaction.js';

/**
 * Removes ready messages that have expired; those that are delayed or handled are checked by who gets them next. Nobody is
 * here who could wait for room: the dead letters are admitted over the capacity.
 */
export function removeExpired(transaction: WriteTransaction): void {
  const { messages, queues } = transaction;
  const now = Date.now();
  const expired = messages.expired(now, MAX_ROWS_PER_TRANSACTION);
  for (const { id, queue, attempt, expiresAt } of expired) {
    if (queue === undefined) {
      messages.drop(id, undefined);
      continue;
    }
    messages.withdraw(queue);
    const target = queue.spec.onExpired === 'drop' ? undefined : queues.deadLetterQueueOf(queue);
    if (target === undefined) messages.drop(id, queue);
    else makeDeadLetter(transaction, { id, queue, attempt }, target, expiredFailure(expiresAt));
  }
  if (expired.length === MAX_ROWS_PER_TRANSACTION) transaction.unfinished = true;
}
