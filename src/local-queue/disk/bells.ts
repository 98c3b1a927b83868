import { capacityOf } from './declaration.js';
import type { Turn } from './turn.js';

/** Who wanted to be told that there are messages, or that there is room, is told once. */
export function answerBells(turn: Turn): void {
  for (const [queue, counters] of turn.queues.touched()) {
    if (counters.ready > 0 && counters.hungry) {
      counters.hungry = false;
      turn.ring = true;
    }
    const room = counters.held < capacityOf(queue);
    if (room && counters.crowded) {
      counters.crowded = false;
      turn.ring = true;
    }
    if (turn.memory.waiting.has(queue.spec.name)) counters.crowded = true;
  }
}
