import type { QueueError } from '../../../errors.js';
import type { ReleaseRequest, Reply, Request } from '../protocol.js';
import type { ExchangeTable } from './exchange-table.js';
import type { DelayedMessages } from './messages/delayed-messages.js';
import type { MessageTable } from './messages/message-table.js';
import type { OwnerTable } from './owner-table.js';
import type { QueueTable } from './queue-table.js';
import type { RateGrantTable } from './shared/rate-grant-table.js';
import type { SharedStateTable } from './shared/state-table.js';
import type { StoreState } from './store-state.js';
import type { WaitingFanOut, WaitingMessage } from './waiting-publishes.js';

/** How many messages one transaction moves on its own, so that it holds the write lock for milliseconds. */
export const MAX_ROWS_PER_TRANSACTION = 1000;

/** The tables, and the state kept between transactions. */
export type TransactionParts = Pick<
  WriteTransaction,
  'queues' | 'exchanges' | 'messages' | 'delayed' | 'owners' | 'states' | 'rates' | 'state'
>;

/**
 * One write transaction and what belongs to it. The state changes along with the tables; if the transaction fails,
 * `fail` undoes the changes of the state, too.
 */
export class WriteTransaction {
  readonly queues: QueueTable;
  readonly exchanges: ExchangeTable;
  readonly messages: MessageTable;
  readonly delayed: DelayedMessages;
  readonly owners: OwnerTable;
  readonly states: SharedStateTable;
  readonly rates: RateGrantTable;
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
    this.delayed = parts.delayed;
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
      case 'close':
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
