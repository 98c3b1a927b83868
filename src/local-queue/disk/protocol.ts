/**
 * The protocol between the main thread and the store thread. The main thread has the promises, the deliveries and the
 * handlers; the store thread has the database, and only it may block. A post is an ordered list of requests, and all
 * that have arrived by the time a transaction starts become part of it.
 */
import type {
  ConsumerList,
  ExchangeSpec,
  Failure,
  ListedBinding,
  PeekPage,
  Publishing,
  QueueInfo,
  QueueList,
  QueueSpec,
  StartsGrant,
  StartsRequest,
} from '../../broker.js';
import type {
  ConsumersRequest,
  PeekRequest,
  QueuesRequest,
} from '../../common/operator/operator-requests.js';
import type { QueueErrorCode } from '../../errors.js';
import type { MessageLists } from './message-lists.js';

/** How the store thread is started. */
export interface StoreSettings {
  readonly folder: string;
  readonly leaseMs: number;
  /** See `ExitGuard`. */
  readonly exitGuard: SharedArrayBuffer | undefined;
}

/** The first message of the store thread; with a code, it can't open the store, and ends. */
export interface Opened {
  readonly code?: QueueErrorCode;
  readonly message?: string;
}

/** Bits of {@link PublishRequest.flags}. */
export const NO_WAIT = 1;
/** Flushed to disk before it counts as stored. */
export const FLUSH = 2;

/** It is not an error if no queue takes the message. */
export const OPTIONAL = 4;

/** Consecutive publishes. The lists run in parallel, an entry a message. */
export interface PublishRequest {
  readonly kind: 'publish';
  /** Where the messages go, each pair of the two lists once; `target` has positions in them. */
  readonly exchanges: string[];
  readonly routingKeys: string[];
  /** Negative: given up. */
  readonly ids: number[];
  readonly target: number[];
  readonly flags: number[];
  /** The due times of delayed messages, by their position: milliseconds since 1970. */
  readonly due: Map<number, number>;
  readonly messages: MessageLists;
  /** About how much there is to store. */
  size: number;
}

/** Deliveries are identified by tickets: numbers that the store thread assigned. */
export interface AckRequest {
  readonly kind: 'ack';
  readonly tickets: number[];
}

export interface ReleaseRequest {
  readonly kind: 'release';
  readonly tickets: number[];
  /** Never delivered: they become ready again, unchanged. */
  readonly undelivered: boolean;
}

/** Withdraws those of these publishes that are not stored yet. Not part of a transaction: it may wait for one. */
export interface GiveUpRequest {
  readonly kind: 'give-up';
  readonly ids: number[];
}

export interface RetryRequest {
  readonly kind: 'retry';
  readonly id: number;
  readonly ticket: number;
  readonly delayMs: number;
  /** Undefined: postponed. */
  readonly failure: Failure | undefined;
}

export interface DeadLetterRequest {
  readonly kind: 'dead-letter';
  readonly id: number;
  readonly ticket: number;
  readonly failure: Failure;
}

/** Sets a shared state if it has the value `from`, and stores a message along with it. */
export interface StateRequest {
  readonly name: string;
  /** Undefined: it was never set. */
  readonly from: string | undefined;
  readonly to: string;
  readonly publishing: StatePublishing | undefined;
}

export interface StatePublishing extends Pick<Publishing, 'to' | 'mandatory'> {
  readonly message: MessageLists;
  readonly dueAt: number | undefined;
}

/** Commands are answered with a value. */
export type Command =
  | { readonly kind: 'declare'; readonly id: number; readonly spec: QueueSpec }
  | { readonly kind: 'declare-exchange'; readonly id: number; readonly exchange: ExchangeSpec }
  | { readonly kind: 'remove-exchange'; readonly id: number; readonly exchange: string }
  /** Answered with whether the queue is paused. */
  | {
      readonly kind: 'subscribe';
      readonly id: number;
      /** Chosen by the main thread. */
      readonly subscription: number;
      readonly queue: string;
      readonly prefetch: number;
      /** It only inspects messages, and gets them even from a paused queue. */
      readonly inspects: boolean;
    }
  /** No further deliveries. */
  | { readonly kind: 'cancel'; readonly id: number; readonly subscription: number }
  /** `cancel`, and unsettled messages are returned. */
  | { readonly kind: 'unsubscribe'; readonly id: number; readonly subscription: number }
  | { readonly kind: 'list-bindings'; readonly id: number; readonly queue: string }
  /** Removes some of the ready messages and returns how many; 0: there are none. */
  | { readonly kind: 'purge'; readonly id: number; readonly queue: string }
  | { readonly kind: 'remove'; readonly id: number; readonly queue: string }
  | { readonly kind: 'read-state'; readonly id: number; readonly name: string }
  /** Answered with how many there were. */
  | { readonly kind: 'remove-state'; readonly id: number; readonly name: string }
  /** The response is the previous value: the change was made if that is `from`. */
  | { readonly kind: 'change-state'; readonly id: number; readonly change: StateRequest }
  /** Answered with a `StartsGrant`. */
  | { readonly kind: 'take-starts'; readonly id: number; readonly request: StartsRequest }
  | { readonly kind: 'set-paused'; readonly id: number; readonly queue: string; readonly paused: boolean }
  /** The response comes when all earlier requests are stored. */
  | { readonly kind: 'settled'; readonly id: number }
  /** The last one: settlements are stored, all messages are returned, the database is closed. */
  | { readonly kind: 'close'; readonly id: number };

/** The response is a value, read without the write lock if there is nothing else to do. */
export type ReadCommand =
  | { readonly kind: 'queues'; readonly id: number; readonly request: QueuesRequest }
  | { readonly kind: 'consumers'; readonly id: number; readonly request: ConsumersRequest }
  | { readonly kind: 'queue'; readonly id: number; readonly queue: string }
  | { readonly kind: 'peek'; readonly id: number; readonly queue: string; readonly request: PeekRequest };

export type Request =
  | PublishRequest
  | AckRequest
  | ReleaseRequest
  | RetryRequest
  | DeadLetterRequest
  | Command
  | ReadCommand;

/** The messages of the main thread. */
export type Posted = Request | GiveUpRequest;

/** An error in transit between threads, where classes do not survive. */
export interface Refusal {
  readonly id: number;
  /** `GIVEN_UP`: the response to a `give-up`. The caller knows why it gave up. */
  readonly code: QueueErrorCode | 'GIVEN_UP';
  readonly message: string;
}

/** New deliveries of one subscription, lists in parallel as in {@link PublishRequest}. */
export interface DeliveryBatch {
  readonly subscription: number;
  readonly tickets: number[];
  readonly attempts: number[];
  readonly redelivered: boolean[];
  readonly messages: MessageLists;
}

export interface Reply {
  /** Requests that are done and have no value: publishes, retries, dead letters. */
  readonly done: number[];
  /** Publishes that no queue took, for which that is not an error. */
  readonly unrouted: number[];
  readonly answers: { readonly id: number; readonly value: CommandResult }[];
  readonly refused: Refusal[];
  readonly deliveries: DeliveryBatch[];
  /** This process's lease expired: its deliveries belong to others now. */
  readonly lost: { readonly tickets: number[]; readonly message: string }[];
  /** Messages that became dead letters, or were dropped, without being delivered: the disk has damaged them. */
  readonly setAside: {
    readonly subscription: number;
    readonly messageId: string;
    readonly failure: Failure;
  }[];
  /** Subscriptions that can't continue. */
  readonly ended: {
    readonly subscription: number;
    readonly code: QueueErrorCode;
    readonly message: string;
  }[];
  /** Nothing more can be stored, and the thread ends. */
  fatal: { readonly code: QueueErrorCode; readonly message: string } | undefined;
}

/**
 * The result of a read, of `list-bindings` and `purge`; of `declare`, its changes to an existing queue; of a state, its
 * value. False: a publish was not routed.
 */
export type CommandResult =
  | QueueList
  | QueueInfo
  | ConsumerList
  | PeekPage
  | StartsGrant
  | ListedBinding[]
  | number
  | string
  | string[]
  | boolean
  | undefined;
