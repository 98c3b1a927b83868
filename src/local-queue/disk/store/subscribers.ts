import type { Command } from '../protocol.js';
import { leave, waitingDeadLetters } from './admission.js';
import { queueNamed } from './queue-definition.js';
import type { StoredQueue } from './queue-table.js';
import { release } from './settle.js';
import type { WriteTransaction } from './transaction.js';

export function subscribe(
  transaction: WriteTransaction,
  command: Extract<Command, { kind: 'subscribe' }>,
): void {
  const { queues, state } = transaction;
  const { subscription: id, prefetch } = command;
  const queue = queueNamed(queues, command.queue);
  state.subscribers.set(id, { id, queue: command.queue, prefetch, unsettled: new Set(), active: true });
  transaction.newSubscribers.add(id);
  transaction.unfinished = true;
  transaction.onFailure(() => state.subscribers.delete(id));
  countSubscribers(transaction, queue);
}

/** No further deliveries. */
export function cancel(transaction: WriteTransaction, id: number): void {
  const { queues, state } = transaction;
  const subscriber = state.subscribers.get(id);
  if (subscriber === undefined || !subscriber.active) return;
  subscriber.active = false;
  transaction.onFailure(() => {
    subscriber.active = true;
  });
  const queue = queues.byName(subscriber.queue);
  if (queue === undefined) return;
  countSubscribers(transaction, queue);
  removeIfAbandoned(transaction, queue);
}

/** No further deliveries, and what is unsettled goes back, dead letters that wait for room included. */
export function unsubscribe(transaction: WriteTransaction, id: number): void {
  const { state } = transaction;
  const subscriber = state.subscribers.get(id);
  if (subscriber === undefined) return;
  const { unsettled } = subscriber;
  for (const waiting of waitingDeadLetters(transaction, unsettled)) {
    leave(transaction, waiting);
    transaction.reply.refused.push({ id: waiting.id, code: 'GIVEN_UP', message: '' });
  }
  release(transaction, [...unsettled], true);
  cancel(transaction, id);
  state.subscribers.delete(id);
  transaction.onFailure(() => state.subscribers.set(id, subscriber));
}

/** Publishes the number of this process's subscribers to the other processes. */
export function countSubscribers(transaction: WriteTransaction, queue: StoredQueue): void {
  const { owners, owner, state } = transaction;
  let count = 0;
  for (const { queue: name, active } of state.subscribers.values()) {
    if (active && name === queue.spec.name) count++;
  }
  owners.setSubscribers(queue.id, owner, count);
}

/** A queue whose last subscriber has left is removed where it was declared so. */
export function removeIfAbandoned({ queues, owners }: WriteTransaction, queue: StoredQueue): void {
  if (queue.spec.autoDelete && owners.subscribers(queue.id) === 0) queues.remove(queue);
}
