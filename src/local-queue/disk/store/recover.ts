import type { Failure } from '../../../broker.js';
import { leave, waitingDeadLetters } from './admission.js';
import type { Orphan } from './message-table.js';
import type { StoredQueue } from './queue-table.js';
import { makeDeadLetter } from './settle.js';
import { countSubscribers, removeIfAbandoned } from './subscribers.js';
import { MAX_ROWS_PER_TRANSACTION, type WriteTransaction } from './transaction.js';

/** RabbitMQ's own limit since 4.0, for queues that were declared without one. */
const DEFAULT_DELIVERY_LIMIT = 20;

/** Puts back what was handled by owners that died or did not renew in time. */
export function reclaimMessages(transaction: WriteTransaction): void {
  const { owners, messages, queues, state } = transaction;
  for (const owner of owners.dead(state.owner)) unregister(transaction, owner);
  let room = MAX_ROWS_PER_TRANSACTION;
  for (const owner of owners.gone()) {
    const orphans = messages.handledBy(owner, room);
    for (const orphan of orphans) {
      const queue = queues.byId(orphan.queueId);
      if (queue === undefined) messages.drop(orphan.id, undefined);
      else putBack(transaction, queue, orphan);
    }
    room -= orphans.length;
    if (room > 0) {
      owners.forget(owner);
    } else {
      transaction.unfinished = true;
      return;
    }
  }
}

/** An owner is gone, and with it the queues that were for it alone, or for its subscribers. */
export function unregister(transaction: WriteTransaction, owner: number): void {
  const { owners, queues } = transaction;
  for (const id of owners.unregister(owner)) {
    const queue = queues.byId(id);
    if (queue !== undefined) removeIfAbandoned(transaction, queue);
  }
  for (const queue of [...queues.all()]) if (queue.owner === owner) queues.remove(queue);
}

function putBack(transaction: WriteTransaction, queue: StoredQueue, orphan: Orphan): void {
  const { messages, queues } = transaction;
  const { id, attempt } = orphan;
  const returns = orphan.returns + 1;
  const limit = queue.spec.deliveryLimit ?? DEFAULT_DELIVERY_LIMIT;
  if (returns <= limit) {
    messages.reclaim(id, queue);
    return;
  }
  const failure: Failure = {
    code: 'delivery-limit',
    error: `${returns} processes died with this message, the queue's limit is ${limit}`,
  };
  // Nobody is here who could wait for room: these dead letters are admitted over the capacity.
  const target = queues.deadLetterQueueOf(queue);
  if (target === undefined) messages.drop(id, queue);
  else makeDeadLetter(transaction, { id, queue, attempt }, target, failure);
}

/**
 * This process was itself marked as gone, because it did not renew in time: its deliveries are others' now. They are
 * reported lost, and it begins anew as another owner.
 */
export function loseLease(transaction: WriteTransaction): void {
  const { queues, state, reply } = transaction;
  const { owner } = state;
  const message =
    'the lease of this process ran out while it stood still, so its unsettled messages were given to others';
  const lost = [...state.tickets.values()];
  for (const waiting of waitingDeadLetters(transaction, state.tickets)) {
    leave(transaction, waiting);
    reply.refused.push({ id: waiting.id, code: 'BROKER_ERROR', message });
  }
  state.tickets.clear();
  for (const { subscriber } of lost) subscriber.unsettled.clear();
  if (lost.length > 0) reply.lost.push({ tickets: lost.map(({ number }) => number), message });
  state.owner = undefined;
  transaction.onFailure(() => {
    state.owner = owner;
    for (const ticket of lost) {
      state.tickets.set(ticket.number, ticket);
      ticket.subscriber.unsettled.add(ticket.number);
    }
  });
  for (const { queue: name } of state.subscribers.values()) {
    const queue = queues.byName(name);
    if (queue !== undefined) countSubscribers(transaction, queue);
  }
}
