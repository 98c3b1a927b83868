import { capacityOf } from './declaration.js';
import type { StoredQueue } from './queue-description.js';
import type { Turn, WaitingMessage } from './turn.js';

export function hasRoom(turn: Turn, queue: StoredQueue): boolean {
  return turn.queues.counters(queue).held < capacityOf(queue) && !isWaitedFor(turn, queue.spec.name);
}

export function join(turn: Turn, message: WaitingMessage): void {
  const { waiting } = turn.memory;
  const line = waiting.get(message.queue) ?? new Map<number, WaitingMessage>();
  line.set(message.id, message);
  waiting.set(message.queue, line);
  turn.onFailure(() => leave(turn, message));
}

/** Ends a wait. Where the message is in already, nothing happens. */
export function giveUp(turn: Turn, id: number): void {
  for (const line of turn.memory.waiting.values()) {
    const message = line.get(id);
    if (message === undefined) continue;
    leave(turn, message);
    turn.reply.refused.push({ id, code: 'GIVEN_UP', message: '' });
  }
}

/** The dead letters among those who wait that are made of these deliveries. */
export function waitingLettersOf(
  { memory }: Turn,
  tickets: { has(ticket: number): boolean },
): WaitingMessage[] {
  return [...memory.waiting.values()]
    .flatMap((line) => [...line.values()])
    .filter(({ what }) => 'deadLetter' in what && tickets.has(what.deadLetter.ticket));
}

export function leave({ memory }: Turn, { id, queue }: WaitingMessage): void {
  const line = memory.waiting.get(queue);
  line?.delete(id);
  if (line?.size === 0) memory.waiting.delete(queue);
}

/** Whether one who comes now would overtake somebody of this process. */
export function isWaitedFor({ memory }: Turn, queue: string): boolean {
  return memory.waiting.size > 0 && memory.waiting.has(queue);
}
