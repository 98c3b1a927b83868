import { retryHeaders } from '../../common/history-headers.js';
import { deadLetterRecord } from './dead-letter.js';
import { deadLetterQueueOf } from './declaration.js';
import { decodeRecord, encodeRecord } from './message-record.js';
import type { DeadLetterRequest, RetryRequest } from './protocol.js';
import type { StoredQueue } from './queue-description.js';
import type { Ticket, Turn } from './turn.js';
import { hasRoom, join } from './waiting-room.js';

export function ack(turn: Turn, tickets: readonly number[]): void {
  for (const number of tickets) {
    const ticket = settle(turn, number);
    if (ticket !== undefined) turn.messages.remove(ownerOf(turn), ticket);
  }
}

/** Back to where it was. `seen`: it was handed out. */
export function release(turn: Turn, tickets: Iterable<number>, seen: boolean): void {
  for (const number of tickets) {
    const ticket = settle(turn, number);
    if (ticket === undefined) continue;
    const { state } = ticket;
    turn.messages.putBack(ownerOf(turn), ticket, { ...state, redelivered: state.redelivered || seen });
  }
}

export function retry(turn: Turn, { id, ticket: number, delayMs, failure }: RetryRequest): void {
  const ticket = settle(turn, number);
  const record = ticket && turn.messages.record(ticket.queue, ticket.state.seq);
  if (ticket !== undefined && record !== undefined) {
    const { messages } = turn;
    const message = decodeRecord(record);
    const headers = retryHeaders(message.headers, ticket.state.attempt + 1, failure);
    messages.comeAgain(ownerOf(turn), ticket, encodeRecord({ ...message, headers }), delayMs);
  }
  turn.reply.done.push(id);
}

/** Waits for room in the dead-letter queue; the message keeps its place in its own meanwhile. */
export function deadLetter(turn: Turn, request: DeadLetterRequest): void {
  const ticket = turn.memory.tickets.get(request.ticket);
  const target = ticket && deadLetterQueueOf(turn.queues, ticket.queue);
  if (target !== undefined && !hasRoom(turn, target)) {
    const { id } = request;
    join(turn, { id, queue: target.spec.name, what: { deadLetter: request } });
    return;
  }
  bury(turn, request, target);
  turn.reply.done.push(request.id);
}

/** Moves an unsettled delivery to the dead-letter queue; drops it where there is none. */
export function bury(turn: Turn, request: DeadLetterRequest, target: StoredQueue | undefined): void {
  const ticket = settle(turn, request.ticket);
  if (ticket === undefined) return;
  const { messages } = turn;
  const { seq, priority, attempt } = ticket.state;
  const record = target && messages.record(ticket.queue, seq);
  if (target !== undefined && record !== undefined) {
    const history = { queue: ticket.queue.spec.name, seq, attempt, failure: request.failure };
    messages.insert(target, priority, deadLetterRecord(record, history));
  }
  messages.remove(ownerOf(turn), ticket);
}

/** Takes a delivery off the books. Undefined where it was settled before, or lost: then the verb does nothing. */
function settle(turn: Turn, number: number): Ticket | undefined {
  const { tickets } = turn.memory;
  const ticket = tickets.get(number);
  if (ticket === undefined) return undefined;
  const { unsettled } = ticket.subscriber;
  tickets.delete(number);
  unsettled.delete(number);
  turn.onFailure(() => {
    tickets.set(number, ticket);
    unsettled.add(number);
  });
  return ticket;
}

/** Whoever has tickets is registered. */
function ownerOf({ memory }: Turn): number {
  return memory.owner as number;
}
