import type { Destination } from '../../../broker.js';
import { type Linked, LinkedList } from '../../../common/linked-list.js';
import type { QueueError } from '../../../errors.js';
import { FanOutLines } from '../../fan-out-lines.js';
import type { DeadLetterRequest, ReleaseRequest, Reply, Request } from '../protocol.js';
import type { ExchangeTable } from './exchange-table.js';
import type { MessageColumns } from './message-columns.js';
import type { Handled, MessageTable } from './message-table.js';
import type { OwnerTable } from './owner-table.js';
import type { QueueTable } from './queue-table.js';
import type { SharedRateTable } from './shared/rate-table.js';
import type { SharedStateTable } from './shared/state-table.js';

/** A subscriber of this process. */
export interface Subscriber {
  readonly id: number;
  readonly queue: string;
  readonly prefetch: number;
  /** Whether it only inspects messages, and gets them even from a paused queue. */
  readonly inspects: boolean;
  /** The tickets of its unsettled deliveries. */
  readonly unsettled: Set<number>;
  /** Whether it gets more. */
  active: boolean;
  /** When one of its settlements was last recorded. Milliseconds since 1970. */
  settledAt: number;
}

/** A delivery of this process that is not settled. */
export interface Ticket extends Handled {
  readonly number: number;
  readonly subscriber: Subscriber;
}

/** A message that waits for room in a queue. */
export interface WaitingMessage {
  /** The request that is answered when it is in. */
  readonly id: number;
  readonly queue: string;
  readonly what:
    | { readonly columns: MessageColumns; readonly rank: number; readonly dueAt: number | undefined }
    | { readonly deadLetter: DeadLetterRequest };
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

  get size(): number {
    return this.#byId.size;
  }

  get destinations(): Destination[] {
    return this.size === 0 ? [] : this.#lines.destinations;
  }

  add(waiting: WaitingFanOut): void {
    this.#byId.set(waiting.id, waiting);
    this.#lines.lineTo(waiting.to).append(waiting);
  }

  /** False if it does not wait any more. */
  remove(id: number): boolean {
    const waiting = this.#byId.get(id);
    waiting?.list?.remove(waiting);
    const waited = this.#byId.delete(id);
    if (this.size === 0) this.#lines.forgetEmpty();
    return waited;
  }

  /** As {@link FanOutLines.serve}. */
  serve(take: (waiting: WaitingFanOut) => boolean): void {
    if (this.size > 0) this.#lines.serve(take);
  }
}

/** The state that the store thread keeps between transactions. It is private to this thread. */
export class StoreState {
  /** This thread among the owners, from its first subscriber or exclusive queue on. */
  owner: number | undefined = undefined;
  lastTicket = 0;
  readonly tickets = new Map<number, Ticket>();
  readonly subscribers = new Map<number, Subscriber>();
  /** By queue, then by request, in the order of arrival, which a map keeps. None is empty. */
  readonly waiting = new Map<string, Map<number, WaitingMessage>>();
  readonly fanOuts = new WaitingFanOuts();

  /** Whether anything waits for room. */
  get isWaiting(): boolean {
    return this.waiting.size > 0 || this.fanOuts.size > 0;
  }
}

/** How many messages one transaction moves on its own, so that it holds the write lock for milliseconds. */
export const MAX_ROWS_PER_TRANSACTION = 1000;

/** The tables, and the state kept between transactions. */
export type TransactionParts = Pick<
  WriteTransaction,
  'queues' | 'exchanges' | 'messages' | 'owners' | 'states' | 'rates' | 'state'
>;

/**
 * One write transaction and what belongs to it. The state changes along with the tables; if the transaction fails,
 * `fail` undoes the changes of the state, too.
 */
export class WriteTransaction {
  readonly queues: QueueTable;
  readonly exchanges: ExchangeTable;
  readonly messages: MessageTable;
  readonly owners: OwnerTable;
  readonly states: SharedStateTable;
  readonly rates: SharedRateTable;
  readonly state: StoreState;
  readonly reply: Reply = emptyReply();
  /** Whether other processes have something to do now. */
  wakesOthers = false;
  /** Whether there is more to do than one transaction should. */
  unfinished = false;
  /**
   * Subscribers that joined in it. Their first deliveries follow in the next, so that the subscriptions are confirmed
   * before.
   */
  readonly newSubscribers = new Set<number>();
  /** Publishes that had waited for room and were admitted. */
  readonly admitted: (WaitingMessage | WaitingFanOut)[] = [];
  readonly #undo: (() => void)[] = [];

  constructor(parts: TransactionParts) {
    this.queues = parts.queues;
    this.exchanges = parts.exchanges;
    this.messages = parts.messages;
    this.owners = parts.owners;
    this.states = parts.states;
    this.rates = parts.rates;
    this.state = parts.state;
  }

  /** This thread among the owners, which it joins at the first call. */
  ensureOwner(): number {
    const { state } = this;
    if (state.owner === undefined) {
      state.owner = this.owners.register();
      this.onFailure(() => {
        state.owner = undefined;
      });
    }
    return state.owner;
  }

  /** Whether others have found this owner late, and marked it as gone. */
  get hasLostLease(): boolean {
    const { owner } = this.state;
    return owner !== undefined && !this.owners.isRegistered(owner);
  }

  onFailure(undo: () => void): void {
    this.#undo.push(undo);
  }

  refuse(id: number, { code, message }: QueueError): void {
    this.reply.refused.push({ id, code, message });
  }

  fail(): void {
    this.queues.forget();
    this.exchanges.forget();
    this.states.forget();
    this.rates.forget();
    for (const undo of this.#undo.reverse()) undo();
  }
}

/** The result of a transaction. */
export interface TransactionResult {
  readonly reply: Reply;
  /** Other processes have something to do now. */
  readonly wakesOthers: boolean;
  /** There is more to do right away. */
  readonly unfinished: boolean;
  /** Settlements that could not be stored and have to be tried again. */
  readonly failed: readonly Request[];
}

/**
 * The outcome of a failed transaction, which changed nothing. Publishes are refused, including those that had waited
 * for room; settlements must not be lost, and are repeated.
 */
export function failedResult(
  requests: readonly Request[],
  admitted: readonly (WaitingMessage | WaitingFanOut)[],
  { code, message }: QueueError,
): TransactionResult {
  const reply = emptyReply();
  const failed: Request[] = [];
  const refuseOne = (id: number): void => {
    reply.refused.push({ id, code, message });
  };
  const putBack = (ticket: number): void => {
    const release: ReleaseRequest = { kind: 'release', tickets: [ticket], undelivered: false };
    failed.push(release);
  };
  for (const { id, what } of admitted) {
    refuseOne(id);
    if ('deadLetter' in what) putBack(what.deadLetter.ticket);
  }
  for (const request of requests) {
    switch (request.kind) {
      case 'publish':
        for (const id of request.ids) refuseOne(id);
        break;
      case 'ack':
      case 'release':
      case 'cancel':
      case 'unsubscribe':
        failed.push(request);
        break;
      case 'retry':
      case 'dead-letter':
        refuseOne(request.id);
        putBack(request.ticket);
        break;
      default:
        refuseOne(request.id);
    }
  }
  return { reply, wakesOthers: false, unfinished: false, failed };
}

export function emptyReply(): Reply {
  return {
    done: [],
    unrouted: [],
    answers: [],
    refused: [],
    deliveries: [],
    lost: [],
    setAside: [],
    ended: [],
    fatal: undefined,
  };
}
