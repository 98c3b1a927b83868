import type { StoredQueue } from './queue-description.js';
import type { Turn } from './turn.js';

/** Tells the other processes how many subscribers this one has. */
export function countSubscribers({ owners, memory }: Turn, queue: StoredQueue): void {
  if (memory.owner === undefined) return;
  let count = 0;
  for (const { queue: name, active } of memory.subscribers.values()) {
    if (active && name === queue.spec.name) count++;
  }
  owners.setSubscribers(queue.id, memory.owner, count);
}
