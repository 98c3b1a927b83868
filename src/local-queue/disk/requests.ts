import { isQueueError } from '../../errors.js';
import { declareQueue, queueNamed } from './declaration.js';
import { publish } from './let-in.js';
import type { Command, CommandResult, Request } from './protocol.js';
import { putBackOfTheDead } from './recover.js';
import { ack, deadLetter, release, retry } from './settle.js';
import { cancel, subscribe, unsubscribe } from './subscribers.js';
import { STEPS_PER_TURN, type Turn } from './turn.js';
import { giveUp } from './waiting-room.js';

/** Applies one request within its transaction. */
export function applyRequest(turn: Turn, request: Request): void {
  switch (request.kind) {
    case 'publish':
      publish(turn, request);
      break;
    case 'ack':
      ack(turn, request.tickets);
      break;
    case 'release':
      release(turn, request.tickets, !request.unseen);
      break;
    case 'retry':
      retry(turn, request);
      break;
    case 'dead-letter':
      deadLetter(turn, request);
      break;
    default:
      answer(turn, request);
  }
}

function answer(turn: Turn, command: Command): void {
  try {
    turn.reply.answers.push({ id: command.id, value: execute(turn, command) });
  } catch (error) {
    // Anything else means that the store is damaged, and ends the transaction.
    if (!isQueueError(error)) throw error;
    turn.refuse(command.id, error);
  }
}

function execute(turn: Turn, command: Command): CommandResult {
  const { queues, messages, owners, memory } = turn;
  switch (command.kind) {
    case 'declare':
      declareQueue(queues, command.spec);
      return undefined;
    case 'subscribe':
      subscribe(turn, command);
      return undefined;
    case 'cancel':
      cancel(turn, command.subscription);
      return undefined;
    case 'unsubscribe':
      unsubscribe(turn, command.subscription);
      return undefined;
    case 'inspect': {
      putBackOfTheDead(turn);
      const queue = queueNamed(queues, command.queue);
      return { ready: queues.counters(queue).ready, consumers: owners.subscribers(queue.id) };
    }
    case 'purge': {
      const queue = queueNamed(queues, command.queue);
      let purged = 0;
      for (let count = -1; count !== 0; purged += count) count = messages.purge(queue, STEPS_PER_TURN);
      return purged;
    }
    case 'give-up':
      for (const id of command.ids) giveUp(turn, id);
      return undefined;
    case 'close':
      for (const subscription of [...memory.subscribers.keys()]) unsubscribe(turn, subscription);
      if (memory.owner !== undefined) owners.strikeOff(memory.owner);
      memory.owner = undefined;
      return undefined;
  }
}
