import { queueNamed } from './declaration.js';
import type { Command } from './protocol.js';
import { putBackOfTheDead } from './recover.js';
import { release } from './settle.js';
import { countSubscribers } from './subscriber-count.js';
import type { Turn } from './turn.js';
import { giveUp, waitingLettersOf } from './waiting-room.js';

export function subscribe(turn: Turn, command: Extract<Command, { kind: 'subscribe' }>): void {
  const { queues, owners, memory } = turn;
  const { subscription: id, prefetch } = command;
  const queue = queueNamed(queues, command.queue);
  const before = memory.owner;
  memory.owner ??= owners.register();
  memory.subscribers.set(id, { id, queue: command.queue, prefetch, unsettled: new Set(), active: true });
  turn.newcomers.add(id);
  turn.unfinished = true;
  turn.onFailure(() => {
    memory.owner = before;
    memory.subscribers.delete(id);
  });
  countSubscribers(turn, queue);
  putBackOfTheDead(turn);
}

/** No further deliveries. */
export function cancel(turn: Turn, id: number): void {
  const { queues, messages, owners, memory } = turn;
  const subscriber = memory.subscribers.get(id);
  if (subscriber === undefined || !subscriber.active) return;
  subscriber.active = false;
  turn.onFailure(() => {
    subscriber.active = true;
  });
  const queue = queues.byName(subscriber.queue);
  if (queue === undefined) return;
  countSubscribers(turn, queue);
  if (queue.spec.autoDelete && owners.subscribers(queue.id) === 0) {
    messages.removeAll(queue);
    queues.delete(queue);
  }
}

/** No further deliveries, and what is unsettled goes back, dead letters that wait for room included. */
export function unsubscribe(turn: Turn, id: number): void {
  const { memory } = turn;
  const subscriber = memory.subscribers.get(id);
  if (subscriber === undefined) return;
  const { unsettled } = subscriber;
  for (const { id: letter } of waitingLettersOf(turn, unsettled)) giveUp(turn, letter);
  release(turn, [...unsettled], true);
  cancel(turn, id);
  memory.subscribers.delete(id);
  turn.onFailure(() => memory.subscribers.set(id, subscriber));
}
