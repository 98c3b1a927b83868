import type { Failure } from '../../../broker.js';
import { deadLetterHeaders, retryHeaders } from '../../../common/history-headers.js';
import { parseHeaders } from '../message-lists.js';
import type { DeadLetterRequest, RetryRequest } from '../protocol.js';
import type { Handled } from './message-table.js';
import type { StoredQueue } from './queue-table.js';
import type { Ticket, WriteTransaction } from './transaction.js';

export function ack(transaction: WriteTransaction, tickets: readonly number[]): void {
  transaction.messages.remove(settle(transaction, tickets));
}

/** Returns deliveries to their old place. `delivered`: a subscriber got them. */
export function release(transaction: WriteTransaction, tickets: readonly number[], delivered: boolean): void {
  transaction.messages.putBack(settle(transaction, tickets), delivered);
}

export function retry(
  transaction: WriteTransaction,
  { id, ticket: number, delayMs, failure }: RetryRequest,
): void {
  const { messages, reply } = transaction;
  for (const ticket of settle(transaction, [number])) {
    const headers = retryHeaders(readHeaders(transaction, ticket.id), ticket.attempt + 1, failure);
    messages.comeAgain(ticket, JSON.stringify(headers), delayMs);
  }
  reply.done.push(id);
}

/** Moves an unsettled delivery to the dead-letter queue; drops it where there is none. */
export function moveToDeadLetterQueue(
  transaction: WriteTransaction,
  request: DeadLetterRequest,
  target: StoredQueue | undefined,
): void {
  for (const ticket of settle(transaction, [request.ticket])) {
    if (target === undefined) transaction.messages.remove([ticket]);
    else makeDeadLetter(transaction, ticket, target, request.failure);
  }
}

/** Moves a message that is handled to its dead-letter queue. */
export function makeDeadLetter(
  transaction: WriteTransaction,
  message: Handled,
  target: StoredQueue,
  failure: Failure,
): void {
  const history = { queue: message.queue.spec.name, attempt: message.attempt, failure };
  const headers = deadLetterHeaders(readHeaders(transaction, message.id), history);
  transaction.messages.move(message, target, JSON.stringify(headers));
}

/** Headers that can't be read, since somebody else wrote them, are none. */
function readHeaders({ messages }: WriteTransaction, id: number): Readonly<Record<string, string>> {
  try {
    return parseHeaders(messages.headersOf(id));
  } catch {
    return {};
  }
}

/** Forgets tickets, and returns those that were not settled before, or lost: the verb does nothing with others. */
function settle(transaction: WriteTransaction, numbers: readonly number[]): Ticket[] {
  const { tickets } = transaction.state;
  const settled: Ticket[] = [];
  for (const number of numbers) {
    const ticket = tickets.get(number);
    if (ticket === undefined) continue;
    tickets.delete(number);
    ticket.subscriber.unsettled.delete(number);
    settled.push(ticket);
  }
  transaction.onFailure(() => {
    for (const ticket of settled) {
      tickets.set(ticket.number, ticket);
      ticket.subscriber.unsettled.add(ticket.number);
    }
  });
  return settled;
}
