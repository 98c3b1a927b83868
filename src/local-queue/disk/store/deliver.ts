import { MessageWriter } from '../message-lists.js';
import type { DeliveryBatch } from '../protocol.js';
import { claimedQueues } from './admission.js';
import type { Taken } from './messages/message-table.js';
import { queueMissing } from './queue-definition.js';
import { capacityOf, type StoredQueue } from './queue-table.js';
import { setDamagedAside } from './settle.js';
import type { SqliteValue } from './sqlite.js';
import type { Subscriber, Ticket } from './store-state.js';
import { unsubscribe } from './subscribers.js';
import { MAX_ROWS_PER_TRANSACTION, type WriteTransaction } from './transaction.js';

/** The most that one transaction delivers, plus a portion: the bytes are copied, and other processes wait. */
const BYTES_PER_TRANSACTION = 4 * 1024 * 1024;

/** Delivers ready messages to the subscribers that may hold more. */
export function deliver(transaction: WriteTransaction): void {
  const byQueue = new Map<string, Subscriber[]>();
  for (const subscriber of transaction.state.subscribers.values()) {
    if (!subscriber.active || transaction.newSubscribers.has(subscriber.id)) continue;
    const others = byQueue.get(subscriber.queue);
    if (others === undefined) byQueue.set(subscriber.queue, [subscriber]);
    else others.push(subscriber);
  }
  for (const [name, subscribers] of byQueue) {
    const queue = transaction.queues.byName(name);
    if (queue !== undefined) {
      const withCredit = subscribers.filter(
        (subscriber) => credit(subscriber) > 0 && (!queue.paused || subscriber.inspects),
      );
      if (withCredit.length > 0) deliverFrom(transaction, queue, withCredit);
    } else {
      for (const subscriber of subscribers) end(transaction, subscriber);
    }
  }
}

/** The queue was removed. */
function end(transaction: WriteTransaction, { id, queue }: Subscriber): void {
  const { code, message } = queueMissing(queue);
  unsubscribe(transaction, id);
  transaction.reply.ended.push({ subscription: id, code, message });
}

function credit({ prefetch, unsettled }: Subscriber): number {
  return prefetch - unsettled.size;
}

function deliverFrom(transaction: WriteTransaction, queue: StoredQueue, subscribers: Subscriber[]): void {
  const { queues, messages, state, reply } = transaction;
  const counters = queues.counters(queue);
  let wanted = 0;
  for (const subscriber of subscribers) wanted += credit(subscriber);
  if (counters.ready > 0) {
    const limit = Math.min(wanted, MAX_ROWS_PER_TRANSACTION);
    const taken = messages.take(queue, transaction.ensureOwner(), limit, BYTES_PER_TRANSACTION);
    const batches = subscribers.map((subscriber) => new Batch(subscriber));
    const tickets: Ticket[] = [];
    transaction.onFailure(() => {
      for (const { number, subscriber } of tickets) {
        state.tickets.delete(number);
        subscriber.unsettled.delete(number);
      }
    });
    let next = 0;
    for (const message of taken) {
      if (message.isDamaged) {
        setDamagedAside(transaction, message, queue, (subscribers[0] as Subscriber).id);
        continue;
      }
      // Round-robin among the subscribers that may hold more; there is one, since no more than `wanted` are taken.
      while (credit((batches[next % batches.length] as Batch).subscriber) === 0) next++;
      const batch = batches[next % batches.length] as Batch;
      next++;
      const { subscriber } = batch;
      const { id, attempt } = message;
      const ticket = { number: ++state.lastTicket, id, attempt, queue, subscriber };
      state.tickets.set(ticket.number, ticket);
      subscriber.unsettled.add(ticket.number);
      tickets.push(ticket);
      batch.add(ticket.number, message);
    }
    wanted -= tickets.length;
    for (const batch of batches) if (batch.length > 0) reply.deliveries.push(batch.finish());
    // The next transaction starts with another one.
    rotate(transaction, subscribers, next);
  }
  if (wanted === 0) return;
  if (counters.ready > 0) transaction.unfinished = true;
  else counters.wantsMessages = true;
}

/** Subscribers that were just served move behind the others. A map keeps the order in which its entries were set. */
function rotate({ state }: WriteTransaction, subscribers: Subscriber[], served: number): void {
  if (subscribers.length === 1) return;
  for (const subscriber of subscribers.slice(0, served % subscribers.length)) {
    state.subscribers.delete(subscriber.id);
    state.subscribers.set(subscriber.id, subscriber);
  }
}

/** The deliveries of one subscriber in a transaction. */
class Batch {
  readonly subscriber: Subscriber;
  readonly #writer = new MessageWriter();
  readonly #tickets: number[] = [];
  readonly #attempts: number[] = [];
  readonly #redelivered: boolean[] = [];

  constructor(subscriber: Subscriber) {
    this.subscriber = subscriber;
  }

  get length(): number {
    return this.#tickets.length;
  }

  add(ticket: number, { attempt, redelivered, columns }: Taken): void {
    this.#tickets.push(ticket);
    this.#attempts.push(attempt);
    this.#redelivered.push(redelivered);
    const [id, contentType, headers, properties, timestamp, priority, expiresAt, bodyIsText, body] = columns;
    this.#writer.add(
      textOf(id) ?? '',
      textOf(contentType) ?? '',
      timestamp,
      priority,
      bodyIsText === 1 ? (textOf(body) as string) : body,
      headers,
      properties,
      expiresAt,
    );
  }

  finish(): DeliveryBatch {
    return {
      subscription: this.subscriber.id,
      tickets: this.#tickets,
      attempts: this.#attempts,
      redelivered: this.#redelivered,
      messages: this.#writer.finish(),
    };
  }
}

function textOf(value: SqliteValue): string | null {
  if (value === null || typeof value === 'string') return value;
  return value instanceof Uint8Array ? Buffer.from(value).toString() : String(value);
}

/** Wakes processes that flagged interest, once each. */
export function answerWakeFlags(transaction: WriteTransaction): void {
  const { waiting } = transaction.state;
  const claimed = claimedQueues(transaction);
  for (const [queue, counters] of transaction.queues.touched()) {
    if (counters.ready > 0 && counters.wantsMessages) {
      counters.wantsMessages = false;
      transaction.wakesOthers = true;
    }
    if (counters.held < capacityOf(queue) && counters.wantsRoom) {
      counters.wantsRoom = false;
      transaction.wakesOthers = true;
    }
    const isFull = counters.held >= capacityOf(queue);
    if (waiting.has(queue.spec.name) || (isFull && claimed.has(queue))) counters.wantsRoom = true;
  }
}
