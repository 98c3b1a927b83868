import type { Failure, MessageHeaders } from '../../../broker.js';
import { deadLetterHeaders, deadLetterHistory } from '../../../common/message/dead-letter-headers.js';
import { postponeHeaders, retryHeaders } from '../../../common/message/retry-headers.js';
import { headersText, parseHeaders } from '../message-json.js';
import type { DeadLetterRequest, RetryRequest } from '../protocol.js';
import type { Handled, Taken } from './messages/message-table.js';
import { ensureDeadLetterQueue } from './queue-definition.js';
import type { StoredQueue } from './queue-table.js';
import type { SqliteValue } from './sqlite.js';
import type { Ticket } from './store-state.js';
import type { WriteTransaction } from './transaction.js';

export function ack(transaction: WriteTransaction, tickets: readonly number[]): void {
  const settled = settle(transaction, tickets);
  transaction.messages.remove(settled);
  noteSettled(transaction, settled);
}

/** Returns deliveries to their old place. `delivered`: a subscriber got them. */
export function release(transaction: WriteTransaction, tickets: readonly number[], delivered: boolean): void {
  transaction.messages.putBack(settle(transaction, tickets), delivered);
}

export function retry(
  transaction: WriteTransaction,
  { id, ticket: number, delayMs, failure }: RetryRequest,
): void {
  const { messages, delayed, reply } = transaction;
  const settled = settle(transaction, [number]);
  noteSettled(transaction, settled);
  for (const ticket of settled) {
    const attempt = failure === undefined ? ticket.attempt : ticket.attempt + 1;
    const change = (text: string | null) => {
      const headers = readHeaders(text);
      return toText(
        failure === undefined ? postponeHeaders(headers, attempt) : retryHeaders(headers, attempt, failure),
      );
    };
    if (delayMs > 0) delayed.retry(ticket, attempt, change, delayMs);
    else messages.redeliver(ticket, attempt, change);
  }
  reply.done.push(id);
}

/** Settles a delivery: it becomes a dead letter in `target`, or is dropped if there is none. */
export function settleAsDeadLetter(
  transaction: WriteTransaction,
  request: DeadLetterRequest,
  target: StoredQueue | undefined,
): void {
  const settled = settle(transaction, [request.ticket]);
  noteSettled(transaction, settled);
  for (const ticket of settled) {
    if (target === undefined) transaction.messages.remove([ticket]);
    else makeDeadLetter(transaction, ticket, target, request.failure);
  }
}

/** Moves a message of this queue, delivered or ready, to `target`, with its history. */
export function makeDeadLetter(
  transaction: WriteTransaction,
  message: Handled,
  target: StoredQueue,
  failure: Failure,
): void {
  const history = { queue: message.queue.spec.name, attempt: message.attempt, failure };
  transaction.messages.move(message, target, (headers) =>
    toText(deadLetterHeaders(readHeaders(headers), history)),
  );
}

/**
 * A corrupt message reaches no handler: it becomes a dead letter, even over the capacity, since nothing could wait for
 * room, and is dropped if the queue keeps no dead letters. A damaged dead letter stays in its queue, marked as damaged.
 */
export function setDamagedAside(
  transaction: WriteTransaction,
  message: Taken,
  queue: StoredQueue,
  subscription: number,
): void {
  const { messages, queues, reply } = transaction;
  const { id, attempt, columns } = message;
  const [messageId, , text] = columns;
  const failure: Failure = {
    code: 'damaged',
    error: `the stored message is corrupt: the checksum of message ${id} in queue.db does not match`,
  };
  const headers = readHeaders(text);
  const isDeadLetter = [...queues.all()].some(({ deadLetterQueue }) => deadLetterQueue === queue.spec.name);
  const target = isDeadLetter ? queue : ensureDeadLetterQueue(queues, queue);
  if (target === undefined) {
    messages.remove([{ id, queue, attempt }]);
  } else {
    const name = (isDeadLetter && deadLetterHistory(headers)?.queue) || queue.spec.name;
    const history = { queue: name, attempt, failure };
    messages.salvage(message, queue, target, toText(deadLetterHeaders(headers, history)));
  }
  reply.setAside.push({ subscription, messageId: textOf(messageId), failure });
}

/** A text with NUL in it is stored as bytes. */
function textOf(value: SqliteValue): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString() : String(value);
}

/** Unreadable headers, written by another program, count as none. */
function readHeaders(text: string | null): MessageHeaders {
  try {
    return parseHeaders(text);
  } catch {
    return {};
  }
}

function toText(headers: MessageHeaders): string {
  return headersText(headers) ?? '{}';
}

/** The precision of a process's last settlement time. Each update is a write. */
const NOTE_EVERY_MS = 1000;

function noteSettled(transaction: WriteTransaction, settled: readonly Ticket[]): void {
  const now = Date.now();
  for (const { queue, subscriber } of settled) {
    const { settledAt } = subscriber;
    // The clock may have been set back.
    if (now - settledAt < NOTE_EVERY_MS && now >= settledAt) continue;
    transaction.owners.noteSettled(queue.id, transaction.ensureOwner(), now);
    subscriber.settledAt = now;
    transaction.onFailure(() => {
      subscriber.settledAt = settledAt;
    });
  }
}

/** Forgets tickets, and returns those that were neither settled nor lost before: others are ignored. */
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
