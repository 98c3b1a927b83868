import { capacityOf } from './queue-definition.js';
import type { StoredQueue } from './queue-table.js';
import type { WaitingMessage, WriteTransaction } from './transaction.js';

export function hasRoom(transaction: WriteTransaction, queue: StoredQueue): boolean {
  const { held } = transaction.queues.counters(queue);
  return held < capacityOf(queue) && !isWaitedFor(transaction, queue.spec.name);
}

export function join(transaction: WriteTransaction, message: WaitingMessage): void {
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
export function isWaitedFor({ state }: WriteTransaction, queue: string): boolean {
  return state.waiting.size > 0 && state.waiting.has(queue);
}
