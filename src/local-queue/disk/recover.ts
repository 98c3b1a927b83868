import type { Failure } from '../../broker.js';
import { deadLetterRecord } from './dead-letter.js';
import { deadLetterQueueOf } from './declaration.js';
import type { MessageState } from './message-state.js';
import type { StoredQueue } from './queue-description.js';
import { countSubscribers } from './subscriber-count.js';
import { STEPS_PER_TURN, type Turn } from './turn.js';
import { leave, waitingLettersOf } from './waiting-room.js';

/** RabbitMQ's own limit since 4.0, for queues that were declared without one. */
const DEFAULT_DELIVERY_LIMIT = 20;

/** Strikes off the processes that died or did not renew in time, and puts back what was leased to them. */
export function putBackOfTheDead(turn: Turn): void {
  const { owners, messages, memory } = turn;
  for (const owner of owners.dead(memory.owner)) owners.strikeOff(owner);
  let room = STEPS_PER_TURN;
  for (const owner of strangers(turn)) {
    for (const lease of messages.leasesOf(owner, room)) {
      room--;
      messages.endLease(owner, lease.queueId, lease.seq);
      const queue = turn.queues.byId(lease.queueId);
      if (queue === undefined) continue;
      if (lease.state === undefined) turn.queues.counters(queue).held--;
      else putBack(turn, queue, lease.state);
    }
    if (room <= 0) {
      turn.unfinished = true;
      return;
    }
  }
}

/** Those who have leases and are not registered (any more). */
export function strangers({ owners, messages }: Pick<Turn, 'owners' | 'messages'>): number[] {
  return messages.leaseOwners().filter((owner) => !owners.isRegistered(owner));
}

function putBack(turn: Turn, queue: StoredQueue, state: MessageState): void {
  const { messages } = turn;
  const back = { ...state, attempt: state.attempt + 1, returns: state.returns + 1, redelivered: true };
  const limit = queue.spec.deliveryLimit ?? DEFAULT_DELIVERY_LIMIT;
  if (back.returns <= limit) {
    messages.makeReady(queue, back);
    return;
  }
  const failure: Failure = {
    code: 'delivery-limit',
    error: `${back.returns} processes died with this message, the queue's limit is ${limit}`,
  };
  // Nobody is here who could wait for room: these letters are let in over the capacity.
  const target = deadLetterQueueOf(turn.queues, queue);
  const record = target && messages.record(queue, state.seq);
  if (target !== undefined && record !== undefined) {
    const history = { queue: queue.spec.name, seq: state.seq, attempt: state.attempt, failure };
    messages.insert(target, state.priority, deadLetterRecord(record, history));
  }
  messages.forget(queue, state.seq);
}

/**
 * Where this process was itself struck off, because it did not renew in time, its deliveries are others' now: they
 * are reported lost, and it begins anew as another owner.
 */
export function checkOwnLease(turn: Turn): void {
  const { owners, memory, reply } = turn;
  const { owner } = memory;
  if (owner === undefined || owners.isRegistered(owner)) return;
  const message =
    'the lease of this process ran out while it stood still, so its unsettled messages were given to others';
  const lost = [...memory.tickets.values()];
  for (const letter of waitingLettersOf(turn, memory.tickets)) {
    leave(turn, letter);
    reply.refused.push({ id: letter.id, code: 'BROKER_ERROR', message });
  }
  memory.tickets.clear();
  for (const { subscriber } of lost) subscriber.unsettled.clear();
  if (lost.length > 0) reply.lost.push({ tickets: lost.map(({ number }) => number), message });
  memory.owner = owners.register();
  for (const { queue: name } of memory.subscribers.values()) {
    const queue = turn.queues.byName(name);
    if (queue !== undefined) countSubscribers(turn, queue);
  }
  turn.onFailure(() => {
    memory.owner = owner;
    for (const ticket of lost) {
      memory.tickets.set(ticket.number, ticket);
      ticket.subscriber.unsettled.add(ticket.number);
    }
  });
}
