import { DEFAULT_PRIORITY } from '../../../broker.js';
import { QueueError } from '../../../errors.js';
import { BodyReader, type MessageLists } from '../message-lists.js';
import { type DeadLetterRequest, NO_WAIT, type PublishRequest } from '../protocol.js';
import type { MessageColumns } from './message-columns.js';
import { capacityOf, type StoredQueue } from './queue-table.js';
import { moveToDeadLetterQueue } from './settle.js';
import type { SqliteValue } from './sqlite.js';
import type { WaitingMessage, WriteTransaction } from './transaction.js';

/** Takes messages in, or has them wait for room. Nobody overtakes one of this process who waits already. */
export function publish(transaction: WriteTransaction, request: PublishRequest): void {
  const { queues, messages, reply } = transaction;
  const targets = request.queues.map((name) => {
    const queue = queues.byName(name);
    return queue && { queue, counters: queues.counters(queue), capacity: capacityOf(queue) };
  });
  const { messages: lists } = request;
  const bodies = new BodyReader(lists);
  let run: Run | undefined;
  const storeRun = (): void => {
    if (run !== undefined) messages.insert(run.queue, run.rank, run.rows);
    run = undefined;
  };
  for (const [index, id] of request.ids.entries()) {
    const body = bodies.next();
    if (id < 0) continue;
    const position = request.queue[index] as number;
    const name = request.queues[position] as string;
    const target = targets[position];
    if (target === undefined) {
      transaction.refuse(id, unroutable(name));
      continue;
    }
    const rank = lists.priorities[index] ?? DEFAULT_PRIORITY;
    const columns = columnsOf(lists, index, body);
    if (run?.queue !== target.queue || run.rank !== rank) storeRun();
    const held = target.counters.held + (run?.rows.length ?? 0);
    if (held < target.capacity && !isWaitedFor(transaction, name)) {
      run ??= { queue: target.queue, rank, rows: [] };
      run.rows.push(columns);
      reply.done.push(id);
    } else if ((request.flags[index] as number) & NO_WAIT) {
      transaction.refuse(id, full(target.queue));
    } else {
      join(transaction, { id, queue: name, what: { rank, columns } });
    }
  }
  storeRun();
}

/** Messages that are stored together. */
interface Run {
  readonly queue: StoredQueue;
  readonly rank: number;
  readonly rows: MessageColumns[];
}

/** Gives the free room to the publishes that have waited longest. */
export function admitWaiting(transaction: WriteTransaction): void {
  for (const [name, line] of transaction.state.waiting) {
    const queue = transaction.queues.byName(name);
    const counters = queue && transaction.queues.counters(queue);
    for (const message of line.values()) {
      if (queue !== undefined && counters !== undefined && counters.held >= capacityOf(queue)) break;
      leave(transaction, message);
      transaction.admitted.push(message);
      if (queue === undefined) transaction.refuse(message.id, unroutable(name));
      else admit(transaction, queue, message);
    }
  }
}

function admit(transaction: WriteTransaction, queue: StoredQueue, { id, what }: WaitingMessage): void {
  if ('deadLetter' in what) moveToDeadLetterQueue(transaction, what.deadLetter, queue);
  else transaction.messages.insert(queue, what.rank, [what.columns]);
  transaction.reply.done.push(id);
}

function columnsOf(lists: MessageLists, index: number, body: string | Uint8Array): MessageColumns {
  const extras = lists.extras.get(index);
  const hasNul = typeof body === 'string' && body.includes(NUL);
  return [
    textColumn(lists.ids[index] as string),
    textColumn(lists.contentTypes[index] as string),
    extras?.headers ?? null,
    extras?.properties ?? null,
    lists.timestamps[index] ?? null,
    lists.priorities[index] ?? null,
    extras?.expiresAt ?? null,
    hasNul ? 1 : null,
    hasNul ? Buffer.from(body) : body,
  ];
}

const NUL = '\0';

/** A text that has NUL in it is stored as a blob: not each SQLite for Node writes and reads what comes after it. */
function textColumn(text: string): SqliteValue {
  return text.includes(NUL) ? Buffer.from(text) : text;
}

function full(queue: StoredQueue): QueueError {
  return new QueueError(
    'FULL',
    `the queue '${queue.spec.name}' is at its capacity of ${capacityOf(queue)} messages`,
  );
}

function unroutable(queue: string): QueueError {
  return new QueueError('UNROUTABLE', `there is no queue '${queue}' in the folder: declare it first`);
}

/** Waits for room in the dead-letter queue; the message keeps its place in its own meanwhile. */
export function deadLetter(transaction: WriteTransaction, request: DeadLetterRequest): void {
  const ticket = transaction.state.tickets.get(request.ticket);
  const target = ticket && transaction.queues.deadLetterQueueOf(ticket.queue);
  if (target !== undefined && !hasRoom(transaction, target)) {
    const { id } = request;
    join(transaction, { id, queue: target.spec.name, what: { deadLetter: request } });
    return;
  }
  moveToDeadLetterQueue(transaction, request, target);
  transaction.reply.done.push(request.id);
}

function hasRoom(transaction: WriteTransaction, queue: StoredQueue): boolean {
  const { held } = transaction.queues.counters(queue);
  return held < capacityOf(queue) && !isWaitedFor(transaction, queue.spec.name);
}

function join(transaction: WriteTransaction, message: WaitingMessage): void {
  const { waiting } = transaction.state;
  const line = waiting.get(message.queue) ?? new Map<number, WaitingMessage>();
  line.set(message.id, message);
  waiting.set(message.queue, line);
  transaction.onFailure(() => leave(transaction, message));
}

/** The dead letters of these deliveries that wait for room. */
export function waitingDeadLetters(
  { state }: WriteTransaction,
  tickets: { has(ticket: number): boolean },
): WaitingMessage[] {
  return [...state.waiting.values()]
    .flatMap((line) => [...line.values()])
    .filter(({ what }) => 'deadLetter' in what && tickets.has(what.deadLetter.ticket));
}

export function leave(
  { state }: Pick<WriteTransaction, 'state'>,
  { id, queue }: Pick<WaitingMessage, 'id' | 'queue'>,
): void {
  const line = state.waiting.get(queue);
  line?.delete(id);
  if (line?.size === 0) state.waiting.delete(queue);
}

/** Whether a new publish would overtake one of this process that waits. */
function isWaitedFor({ state }: WriteTransaction, queue: string): boolean {
  return state.waiting.size > 0 && state.waiting.has(queue);
}
