import { QueueError } from '../../errors.js';
import { capacityOf } from './declaration.js';
import { FLUSH, NO_WAIT, type PublishRequest } from './protocol.js';
import type { StoredQueue } from './queue-description.js';
import { bury } from './settle.js';
import type { Turn, WaitingMessage } from './turn.js';
import { isWaitedFor, join, leave } from './waiting-room.js';

/** Lets messages in, or has them wait for room. Nobody overtakes one of this process who waits already. */
export function publish(turn: Turn, request: PublishRequest): void {
  const { queues, messages, reply } = turn;
  const targets = request.queues.map((name) => {
    const queue = queues.byName(name);
    return queue && { queue, counters: queues.counters(queue), capacity: capacityOf(queue) };
  });
  const { records } = request;
  const bytes = Buffer.from(records.buffer, records.byteOffset, records.byteLength);
  let start = 0;
  for (const [index, id] of request.ids.entries()) {
    const end = request.ends[index] as number;
    const record = bytes.subarray(start, end);
    start = end;
    const position = request.queue[index] as number;
    const name = request.queues[position] as string;
    const priority = request.priorities[index] as number;
    const flags = request.flags[index] as number;
    const target = targets[position];
    if (target === undefined) {
      turn.refuse(id, unroutable(name));
    } else if (target.counters.held < target.capacity && !isWaitedFor(turn, name)) {
      messages.insert(target.queue, priority, record);
      reply.done.push(id);
    } else if (flags & NO_WAIT) {
      turn.refuse(id, full(target.queue));
    } else {
      join(turn, {
        id,
        queue: name,
        what: { record, priority, flush: (flags & FLUSH) !== 0 },
      });
    }
  }
}

/** Those who have waited longest get the room there is. */
export function admit(turn: Turn): void {
  for (const [name, line] of turn.memory.waiting) {
    const queue = turn.queues.byName(name);
    const counters = queue && turn.queues.counters(queue);
    for (const message of line.values()) {
      if (queue !== undefined && counters !== undefined && counters.held >= capacityOf(queue)) break;
      leave(turn, message);
      turn.admitted.push(message);
      if (queue === undefined) turn.refuse(message.id, unroutable(name));
      else letIn(turn, queue, message);
    }
  }
}

function letIn(turn: Turn, queue: StoredQueue, { id, what }: WaitingMessage): void {
  if ('deadLetter' in what) bury(turn, what.deadLetter, queue);
  else turn.messages.insert(queue, what.priority, what.record);
  turn.reply.done.push(id);
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
