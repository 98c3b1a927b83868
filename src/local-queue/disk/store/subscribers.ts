/** The consumers: subscribers of this process as they come and go, and owners that have died. */
import type { Failure } from '../../../broker.js';
import type { Command } from '../protocol.js';
import type { Orphan } from './messages/message-table.js';
import { ensureDeadLetterQueue, queueNamed } from './queue-definition.js';
import type { StoredQueue } from './queue-table.js';
import { makeDeadLetter, release } from './settle.js';
import { MAX_ROWS_PER_TRANSACTION, type WriteTransaction } from './transaction.js';
import { withdrawDeadLetters } from './waiting-publishes.js';

export function subscribe(
  transaction: WriteTransaction,
  command: Extract<Command, { kind: 'subscribe' }>,
): void {
  const { queues, state } = transaction;
  const { subscription: id, prefetch, inspects } = command;
  const queue = queueNamed(queues, command.queue);
  state.subscribers.set(id, {
    id,
    queue: command.queue,
    prefetch,
    inspects,
    unsettled: new Set(),
    active: true,
    settledAt: 0,
  });
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

/** No further deliveries, and unsettled messages are returned, including dead letters that wait for room. */
export function unsubscribe(transaction: WriteTransaction, id: number): void {
  const { state } = transaction;
  const subscriber = state.subscribers.get(id);
  if (subscriber === undefined) return;
  const { unsettled } = subscriber;
  for (const request of withdrawDeadLetters(transaction, unsettled)) {
    transaction.reply.refused.push({ id: request, code: 'GIVEN_UP', message: '' });
  }
  release(transaction, [...unsettled], true);
  cancel(transaction, id);
  state.subscribers.delete(id);
  transaction.onFailure(() => state.subscribers.set(id, subscriber));
}

/** Publishes the number of this process's subscribers to the other processes. */
function countSubscribers(transaction: WriteTransaction, queue: StoredQueue): void {
  const { owners, state } = transaction;
  let count = 0;
  for (const { queue: name, active } of state.subscribers.values()) {
    if (active && name === queue.spec.name) count++;
  }
  owners.setSubscribers(queue.id, transaction.ensureOwner(), count);
}

/** A queue whose last subscriber has left is removed if it was declared `autoDelete`. */
function removeIfAbandoned({ queues, owners }: WriteTransaction, queue: StoredQueue): void {
  if (queue.spec.autoDelete && owners.subscribers(queue.id) === 0) queues.remove(queue);
}

/** RabbitMQ's own limit since 4.0, for queues that were declared without one. */
const DEFAULT_DELIVERY_LIMIT = 20;

/** Returns the messages of owners that died or did not renew in time. */
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

/** This process is an owner no longer. */
export function endOwner(transaction: WriteTransaction): void {
  const { state } = transaction;
  const { owner } = state;
  if (owner === undefined) return;
  unregister(transaction, owner);
  state.owner = undefined;
  transaction.onFailure(() => {
    state.owner = owner;
  });
}

/** An owner is gone, and with it its exclusive queues, and those that end with its subscribers. */
function unregister(transaction: WriteTransaction, owner: number): void {
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
    error: `${returns} processes died while handling this message; the limit of the queue is ${limit}`,
  };
  // Nothing here can wait for room, so these dead letters may exceed the capacity.
  const target = ensureDeadLetterQueue(queues, queue);
  if (target === undefined) messages.drop(id, queue);
  else makeDeadLetter(transaction, { id, queue, attempt }, target, failure);
}

/**
 * This process was itself marked as gone, because it did not renew in time: its deliveries belong to others now. They
 * are reported lost, and it continues as a new owner.
 */
export function loseLease(transaction: WriteTransaction): void {
  const { queues, state, reply } = transaction;
  const { owner } = state;
  const message =
    'the lease of this process expired while it was stalled, so its unsettled messages went to others';
  const lost = [...state.tickets.values()];
  for (const id of withdrawDeadLetters(transaction, state.tickets)) {
    reply.refused.push({ id, code: 'BROKER_ERROR', message });
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
