/** Messages that wait for room in full queues: publishes of this process, and its dead letters. */
import type { Destination } from '../../../broker.js';
import { type Linked, LinkedList } from '../../../common/linked-list.js';
import { FanOutLines } from '../../fan-out-lines.js';
import type { DeadLetterRequest } from '../protocol.js';
import type { MessageColumns } from './messages/message-columns.js';

export interface WaitingPublish {
  readonly columns: MessageColumns;
  readonly rank: number;
  readonly dueAt: number | undefined;
}

/** A message that waits for room in a queue. */
export interface WaitingMessage {
  /** The request that is answered when it is in. */
  readonly id: number;
  readonly queue: string;
  readonly what: WaitingPublish | { readonly deadLetter: DeadLetterRequest };
}

/** A message that waits until there is room in all its queues. */
export class WaitingFanOut implements Linked<WaitingFanOut> {
  list: LinkedList<WaitingFanOut> | undefined = undefined;
  previous: WaitingFanOut | undefined = undefined;
  next: WaitingFanOut | undefined = undefined;
  /** The request that is answered when it is in. Requests have growing numbers. */
  readonly id: number;
  readonly to: Destination;
  /** Whether it is no error if no queue takes it. */
  readonly isOptional: boolean;
  readonly what: { readonly columns: MessageColumns; readonly rank: number };

  constructor(id: number, to: Destination, isOptional: boolean, what: WaitingFanOut['what']) {
    this.id = id;
    this.to = to;
    this.isOptional = isOptional;
    this.what = what;
  }

  get number(): number {
    return this.id;
  }
}

/** The messages that wait until there is room in all their queues. */
export class WaitingFanOuts {
  readonly #byId = new Map<number, WaitingFanOut>();
  readonly #lines = new FanOutLines<WaitingFanOut, LinkedList<WaitingFanOut>>(
    () => new LinkedList(),
    (waiting) => waiting,
  );

  /** How many there are. A field: it is read in every transaction. */
  size = 0;

  get destinations(): Destination[] {
    return this.#lines.destinations;
  }

  add(waiting: WaitingFanOut): void {
    this.#byId.set(waiting.id, waiting);
    this.size = this.#byId.size;
    this.#lines.lineTo(waiting.to).append(waiting);
  }

  /** False if it does not wait any more. */
  remove(id: number): boolean {
    const waiting = this.#byId.get(id);
    waiting?.list?.remove(waiting);
    const waited = this.#byId.delete(id);
    this.size = this.#byId.size;
    if (this.size === 0) this.#lines.forgetEmpty();
    return waited;
  }

  /** As {@link FanOutLines.serve}. */
  serve(take: (waiting: WaitingFanOut) => boolean): void {
    this.#lines.serve(take);
  }
}

/** The part of the store thread's state that waits. */
interface WaitingState {
  /** By queue, then by request. */
  readonly waiting: Map<string, Map<number, WaitingMessage>>;
  readonly fanOuts: WaitingFanOuts;
}

/** A transaction, as far as what waits is concerned. */
interface Transaction {
  readonly state: WaitingState;
  onFailure(undo: () => void): void;
}

export function join(transaction: Transaction, message: WaitingMessage): void {
  const { waiting } = transaction.state;
  const line = waiting.get(message.queue) ?? new Map<number, WaitingMessage>();
  line.set(message.id, message);
  waiting.set(message.queue, line);
  transaction.onFailure(() => leave(transaction.state, message));
}

/** For good: a transaction that fails does not undo it. */
export function leave({ waiting }: WaitingState, { id, queue }: Pick<WaitingMessage, 'id' | 'queue'>): void {
  const line = waiting.get(queue);
  line?.delete(id);
  if (line?.size === 0) waiting.delete(queue);
}

/** The dead letters of these deliveries wait no longer. Returns the numbers of their requests. */
export function withdrawDeadLetters(
  transaction: Transaction,
  tickets: { has(ticket: number): boolean },
): number[] {
  const { state } = transaction;
  const withdrawn: WaitingMessage[] = [];
  for (const line of state.waiting.values()) {
    for (const message of line.values()) {
      if ('deadLetter' in message.what && tickets.has(message.what.deadLetter.ticket))
        withdrawn.push(message);
    }
  }
  transaction.onFailure(() => restore(state, withdrawn));
  for (const message of withdrawn) leave(state, message);
  return withdrawn.map(({ id }) => id);
}

/** Each goes back to its place: requests have growing numbers. */
function restore({ waiting }: WaitingState, messages: readonly WaitingMessage[]): void {
  for (const queue of new Set(messages.map((message) => message.queue))) {
    const line = [
      ...(waiting.get(queue)?.values() ?? []),
      ...messages.filter((message) => message.queue === queue),
    ];
    line.sort((one, other) => one.id - other.id);
    waiting.set(queue, new Map(line.map((message) => [message.id, message])));
  }
}

/** Removes those with these numbers, and returns which there were. */
export function giveUpWaiting(state: WaitingState, ids: ReadonlySet<number>): number[] {
  const givenUp: number[] = [];
  for (const [queue, line] of state.waiting) {
    for (const id of line.keys()) {
      if (!ids.has(id)) continue;
      leave(state, { id, queue });
      givenUp.push(id);
    }
  }
  for (const id of ids) if (state.fanOuts.remove(id)) givenUp.push(id);
  return givenUp;
}
