import { isQueueError } from '../../../errors.js';
import {
  type Command,
  type CommandResult,
  FLUSH,
  type ReadCommand,
  type Request,
  type StateRequest,
} from '../protocol.js';
import { admitNow, deadLetter, publish } from './admission.js';
import { declareQueue, queueNamed } from './queue-definition.js';
import { ack, release, retry } from './settle.js';
import { cancel, endOwner, reclaimMessages, subscribe, unsubscribe } from './subscribers.js';
import { MAX_ROWS_PER_TRANSACTION, type WriteTransaction } from './transaction.js';

/** Applies one request within its transaction. */
export function applyRequest(transaction: WriteTransaction, request: Exclude<Request, ReadCommand>): void {
  switch (request.kind) {
    case 'publish':
      publish(transaction, request);
      break;
    case 'ack':
      ack(transaction, request.tickets);
      break;
    case 'release':
      release(transaction, request.tickets, !request.undelivered);
      break;
    case 'retry':
      retry(transaction, request);
      break;
    case 'dead-letter':
      deadLetter(transaction, request);
      break;
    default:
      answer(transaction, request);
  }
}

function answer(transaction: WriteTransaction, command: Command): void {
  try {
    transaction.reply.answers.push({ id: command.id, value: execute(transaction, command) });
  } catch (error) {
    // Anything else ends the transaction.
    if (!isQueueError(error)) throw error;
    transaction.refuse(command.id, error);
  }
}

function execute(transaction: WriteTransaction, command: Command): CommandResult {
  const { queues, messages, state } = transaction;
  switch (command.kind) {
    case 'declare':
      return declareQueue(
        transaction,
        command.spec,
        command.spec.exclusive ? transaction.ensureOwner() : undefined,
      );
    case 'declare-exchange':
      transaction.exchanges.declare(command.exchange);
      return undefined;
    case 'remove-exchange':
      transaction.exchanges.remove(command.exchange);
      // Publishes that wait for room in its queues.
      transaction.wakesOthers = true;
      return undefined;
    case 'subscribe':
      subscribe(transaction, command);
      reclaimMessages(transaction);
      return queueNamed(queues, command.queue).paused;
    case 'cancel':
      cancel(transaction, command.subscription);
      return undefined;
    case 'unsubscribe':
      unsubscribe(transaction, command.subscription);
      return undefined;
    case 'list-bindings':
      return transaction.exchanges.bindingsOf(queueNamed(queues, command.queue));
    case 'purge':
      return messages.purge(queueNamed(queues, command.queue), MAX_ROWS_PER_TRANSACTION);
    case 'remove':
      queues.remove(queueNamed(queues, command.queue));
      // Subscribers, and publishes that wait for room, get an error.
      transaction.wakesOthers = true;
      return undefined;
    case 'read-state':
      return transaction.states.read(command.name);
    case 'remove-state':
      return transaction.states.remove(command.name);
    case 'change-state':
      return changeState(transaction, command.change);
    case 'take-starts':
      return transaction.rates.take(command.request);
    case 'set-paused':
      queues.setPaused(queueNamed(queues, command.queue), command.paused);
      // Resumed: subscribers in other processes.
      transaction.wakesOthers = true;
      return undefined;
    case 'settled':
      return undefined;
    case 'close':
      for (const subscription of [...state.subscribers.keys()]) unsubscribe(transaction, subscription);
      endOwner(transaction);
      reclaimMessages(transaction);
      return undefined;
  }
}

/** Sets a state if it has the value that its program knows, and returns the value before. Throws `UNROUTABLE` and `FULL`. */
function changeState(
  transaction: WriteTransaction,
  { name, from, to, publishing }: StateRequest,
): string | undefined {
  const before = transaction.states.read(name);
  if (before !== from) return before;
  if (publishing !== undefined) admitNow(transaction, publishing);
  transaction.states.set(name, to);
  return before;
}

/** The approximate size of the publishes among them. */
export function sizeOf(requests: readonly Request[]): number {
  let size = 0;
  for (const request of requests) if (request.kind === 'publish') size += request.size;
  return size;
}

/** Whether all are publishes whose senders do not wait for a flush. */
export function areOfCommitOnly(requests: readonly Request[]): boolean {
  return requests.every(
    (request) => request.kind === 'publish' && request.flags.every((flags) => (flags & FLUSH) === 0),
  );
}

const READS: readonly Request['kind'][] = ['queues', 'queue', 'consumers', 'peek'];

/** Whether it only reads. */
export function isRead(request: Request): request is ReadCommand {
  return READS.includes(request.kind);
}
