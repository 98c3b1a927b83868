import { DEFAULT_PRIORITY, type Destination } from '../../../broker.js';
import { QueueError } from '../../../errors.js';
import { BodyReader } from '../message-lists.js';
import {
  type DeadLetterRequest,
  NO_WAIT,
  OPTIONAL,
  type PublishRequest,
  type StatePublishing,
} from '../protocol.js';
import { columnsAt, type MessageColumns } from './messages/message-columns.js';
import { ensureDeadLetterQueue } from './queue-definition.js';
import { type Counters, capacityOf, type StoredQueue } from './queue-table.js';
import { settleAsDeadLetter } from './settle.js';
import type { WriteTransaction } from './transaction.js';
import { join, leave, WaitingFanOut, type WaitingPublish } from './waiting-publishes.js';

/** A queue that receives messages, and its free room. */
interface Taker {
  readonly queue: StoredQueue;
  readonly counters: Counters;
  readonly capacity: number;
}

/** Messages that are stored together: in each of the queues. */
interface Run {
  /** The position of the target in the request. */
  readonly target: number;
  readonly rank: number;
  readonly rows: MessageColumns[];
}

/**
 * Admits messages, or has them wait for room: one for several queues enters all of them at once. No message overtakes a
 * waiting one of this process.
 */
export function publish(transaction: WriteTransaction, request: PublishRequest): void {
  const { messages, reply } = transaction;
  const destinations = request.routingKeys.map((routingKey, position) => ({
    exchange: request.exchanges[position] as string,
    routingKey,
  }));
  const targets = destinations.map((to) => takersOf(transaction, to));
  const { messages: lists } = request;
  const bodies = new BodyReader(lists);
  let run: Run | undefined;
  const storeRun = (): void => {
    if (run !== undefined) {
      const queues = (targets[run.target] as Taker[]).map(({ queue }) => queue);
      messages.insertInAll(queues, run.rank, run.rows);
    }
    run = undefined;
  };
  const claimed = claimedQueues(transaction);
  for (const [index, id] of request.ids.entries()) {
    const body = bodies.next();
    if (id < 0) continue;
    const target = request.target[index] as number;
    const takers = targets[target] as Taker[];
    const to = destinations[target] as Destination;
    const flags = request.flags[index] as number;
    if (takers.length === 0) {
      refuseUnrouted(transaction, id, to, (flags & OPTIONAL) !== 0);
      continue;
    }
    const rank = lists.priorities[index] ?? DEFAULT_PRIORITY;
    const columns = columnsAt(lists, index, body);
    const dueAt = request.due.get(index);
    if (run?.target !== target || run.rank !== rank || dueAt !== undefined) storeRun();
    const taken = run?.rows.length ?? 0;
    const full = fullAmong(transaction, takers, taken, to, claimed);
    if (full === undefined) {
      if (dueAt === undefined) {
        run ??= { target, rank, rows: [] };
        run.rows.push(columns);
      } else {
        for (const { queue } of takers) messages.insertDelayed(queue, rank, columns, dueAt);
      }
      reply.done.push(id);
    } else if (flags & NO_WAIT) {
      transaction.refuse(id, fullError(full.queue));
    } else if (to.exchange === '') {
      join(transaction, { id, queue: to.routingKey, what: { rank, columns, dueAt } });
    } else {
      const isOptional = (flags & OPTIONAL) !== 0;
      transaction.state.fanOuts.add(new WaitingFanOut(id, to, isOptional, { rank, columns }));
      transaction.onFailure(() => transaction.state.fanOuts.remove(id));
      for (const { queue } of takers) claimed.add(queue);
    }
  }
  storeRun();
}

function takersOf({ queues, exchanges }: WriteTransaction, to: Destination): Taker[] {
  const found = to.exchange === '' ? [queues.byName(to.routingKey)] : (exchanges.route(to) ?? []);
  const takers: Taker[] = [];
  for (const queue of found) {
    if (queue === undefined) continue;
    takers.push({ queue, counters: queues.counters(queue), capacity: capacityOf(queue) });
  }
  return takers;
}

/** One of them without room for a message behind `taken` others, or that earlier messages wait for. */
function fullAmong(
  transaction: WriteTransaction,
  takers: readonly Taker[],
  taken: number,
  { exchange, routingKey }: Destination,
  claimed: ReadonlySet<StoredQueue>,
): Taker | undefined {
  for (const taker of takers) {
    if (!hasRoomFor(taker, taken)) return taker;
    if (exchange === '' ? isWaitedFor(transaction, routingKey) : claimed.has(taker.queue)) return taker;
  }
  return undefined;
}

function hasRoomFor({ counters, capacity }: Taker, more: number): boolean {
  return counters.held + more < capacity;
}

function refuseUnrouted(
  transaction: WriteTransaction,
  id: number,
  to: Destination,
  isOptional: boolean,
): void {
  if (isOptional) transaction.reply.unrouted.push(id);
  else transaction.refuse(id, unroutable(transaction, to));
}

/** The queues that messages for several queues wait for: a later message to such a queue may not overtake them. */
export function claimedQueues(transaction: WriteTransaction): Set<StoredQueue> {
  const claimed = new Set<StoredQueue>();
  if (transaction.state.fanOuts.size === 0) return claimed;
  for (const to of transaction.state.fanOuts.destinations) {
    for (const queue of transaction.exchanges.route(to) ?? []) claimed.add(queue);
  }
  return claimed;
}

/** Gives the free room to the publishes and dead letters that have waited longest. */
export function admitWaiting(transaction: WriteTransaction): void {
  const { queues, state } = transaction;
  for (const [name, line] of state.waiting) {
    for (const message of line.values()) {
      const { id, what } = message;
      const deadLetter = 'deadLetter' in what ? what.deadLetter : undefined;
      const queue = queues.byName(name) ?? (deadLetter && targetOf(transaction, deadLetter));
      if (queue !== undefined && queues.counters(queue).held >= capacityOf(queue)) break;
      leave(state, message);
      transaction.admitted.push(message);
      if (deadLetter !== undefined) settleAsDeadLetter(transaction, deadLetter, queue);
      else if (queue !== undefined) admit(transaction, queue, what as WaitingPublish);
      if (queue !== undefined || deadLetter !== undefined) transaction.reply.done.push(id);
      else transaction.refuse(id, unroutable(transaction, { exchange: '', routingKey: name }));
    }
  }
  if (state.fanOuts.size > 0) admitFanOuts(transaction);
}

function admitFanOuts(transaction: WriteTransaction): void {
  const claimed = new Set<StoredQueue>();
  transaction.state.fanOuts.serve((fanOut) => {
    const { id, to, isOptional, what } = fanOut;
    const takers = takersOf(transaction, to);
    if (takers.some((taker) => !hasRoomFor(taker, 0) || claimed.has(taker.queue))) {
      for (const { queue } of takers) claimed.add(queue);
      return false;
    }
    // First, so that a failed transaction, which refuses it, does not leave it waiting.
    transaction.state.fanOuts.remove(id);
    transaction.admitted.push(fanOut);
    const queues = takers.map(({ queue }) => queue);
    transaction.messages.insertInAll(queues, what.rank, [what.columns]);
    if (takers.length > 0) transaction.reply.done.push(id);
    else refuseUnrouted(transaction, id, to, isOptional);
    return true;
  });
}

function admit({ messages }: WriteTransaction, queue: StoredQueue, what: WaitingPublish): void {
  if (what.dueAt === undefined) messages.insert(queue, what.rank, [what.columns]);
  else messages.insertDelayed(queue, what.rank, what.columns, what.dueAt);
}

/** Admits a message that does not wait for room. Throws `UNROUTABLE` and `FULL`. */
export function admitNow(
  transaction: WriteTransaction,
  { to, mandatory, message, dueAt }: StatePublishing,
): void {
  const queues = takersOf(transaction, to).map(({ queue }) => queue);
  if (queues.length === 0 && mandatory) throw unroutable(transaction, to);
  const claimed = to.exchange === '' ? new Set() : claimedQueues(transaction);
  const full = queues.find((queue) => !hasRoom(transaction, queue) || claimed.has(queue));
  if (full !== undefined) throw fullError(full);
  const rank = message.priorities[0] ?? DEFAULT_PRIORITY;
  const columns = columnsAt(message, 0, new BodyReader(message).next());
  if (dueAt === undefined) transaction.messages.insertInAll(queues, rank, [columns]);
  else for (const queue of queues) transaction.messages.insertDelayed(queue, rank, columns, dueAt);
}

function fullError(queue: StoredQueue): QueueError {
  return new QueueError(
    'FULL',
    `the queue '${queue.spec.name}' is at its capacity of ${capacityOf(queue)} messages`,
  );
}

function unroutable({ exchanges }: WriteTransaction, to: Destination): QueueError {
  const { exchange, routingKey } = to;
  const why =
    exchange === ''
      ? `there is no queue '${routingKey}' in the folder: declare it first, or check the name`
      : exchanges.route(to) === undefined
        ? `there is no exchange '${exchange}' in the folder: declare it first, or check the name`
        : `no queue is bound to the exchange '${exchange}' for the routing key '${routingKey}'`;
  return new QueueError('UNROUTABLE', why);
}

/** Waits for room in the dead-letter queue; the message keeps its place in its own meanwhile. */
export function deadLetter(transaction: WriteTransaction, request: DeadLetterRequest): void {
  const target = targetOf(transaction, request);
  if (target !== undefined && !hasRoom(transaction, target)) {
    const { id } = request;
    join(transaction, { id, queue: target.spec.name, what: { deadLetter: request } });
    return;
  }
  settleAsDeadLetter(transaction, request, target);
  transaction.reply.done.push(request.id);
}

/** Undefined: the message is dropped, or was settled before. */
function targetOf({ state, queues }: WriteTransaction, request: DeadLetterRequest): StoredQueue | undefined {
  const ticket = state.tickets.get(request.ticket);
  return ticket && ensureDeadLetterQueue(queues, ticket.queue);
}

function hasRoom(transaction: WriteTransaction, queue: StoredQueue): boolean {
  const { held } = transaction.queues.counters(queue);
  return held < capacityOf(queue) && !isWaitedFor(transaction, queue.spec.name);
}

/** Whether a new publish would overtake one of this process that waits. */
function isWaitedFor({ state }: WriteTransaction, queue: string): boolean {
  return state.waiting.size > 0 && state.waiting.has(queue);
}
