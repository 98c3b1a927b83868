/**
 * What the main thread and the store thread say to each other. The main thread has the promises, the deliveries
 * and the handlers; the store thread has the files, and alone may block. A post is an ordered list of requests,
 * and all that have arrived by the time a transaction begins become part of it.
 */
import type { Failure, QueueSpec, QueueStats } from '../../broker.js';
import type { QueueErrorCode } from '../../errors.js';

/** How the store thread is started. */
export interface StoreSettings {
  readonly folder: string;
  readonly leaseMs: number;
  /** See `ExitGate`. */
  readonly gate: SharedArrayBuffer;
  readonly lockWatch: SharedArrayBuffer;
}

/** The first that the store thread says; with a code, it can't open the store, and ends. */
export interface Opened {
  readonly code?: QueueErrorCode;
  readonly message?: string;
  /** Another thread may be able to, in a moment. */
  readonly again?: boolean;
}

/** Bits of {@link PublishRequest.flags}. */
export const NO_WAIT = 1;
/** Flushed to disk before it counts as stored. */
export const FLUSH = 2;

/**
 * Consecutive publishes. The lists run in parallel, an entry a message: arrays of small numbers cross the threads
 * several times faster than as many objects do.
 */
export interface PublishRequest {
  readonly kind: 'publish';
  /** Names, each once; `queue` has positions in it. */
  readonly queues: string[];
  readonly ids: number[];
  readonly queue: number[];
  readonly priorities: number[];
  readonly flags: number[];
  /** Where each record ends in `records`. */
  readonly ends: number[];
  records: Uint8Array<ArrayBuffer>;
}

/** Deliveries are known by their tickets: numbers that the store thread gave them. */
export interface AckRequest {
  readonly kind: 'ack';
  readonly tickets: number[];
}

export interface ReleaseRequest {
  readonly kind: 'release';
  readonly tickets: number[];
  /** Never handed out: they come again as if nothing had happened. */
  readonly unseen: boolean;
}

export interface RetryRequest {
  readonly kind: 'retry';
  readonly id: number;
  readonly ticket: number;
  readonly delayMs: number;
  readonly failure: Failure;
}

export interface DeadLetterRequest {
  readonly kind: 'dead-letter';
  readonly id: number;
  readonly ticket: number;
  readonly failure: Failure;
}

/** Commands are answered with a value. */
export type Command =
  | { readonly kind: 'declare'; readonly id: number; readonly spec: QueueSpec }
  | {
      readonly kind: 'subscribe';
      readonly id: number;
      /** Chosen by the main thread. */
      readonly subscription: number;
      readonly queue: string;
      readonly prefetch: number;
    }
  /** No further deliveries. */
  | { readonly kind: 'cancel'; readonly id: number; readonly subscription: number }
  /** `cancel`, and what is unsettled goes back. */
  | { readonly kind: 'unsubscribe'; readonly id: number; readonly subscription: number }
  | { readonly kind: 'inspect'; readonly id: number; readonly queue: string }
  | { readonly kind: 'purge'; readonly id: number; readonly queue: string }
  /** Those of these publishes that still wait for room do so no longer. */
  | { readonly kind: 'give-up'; readonly id: number; readonly ids: readonly number[] }
  /** The last one: what is settled is stored, all leases are given back, the files are closed. */
  | { readonly kind: 'close'; readonly id: number };

export type Request =
  | PublishRequest
  | AckRequest
  | ReleaseRequest
  | RetryRequest
  | DeadLetterRequest
  | Command;

/** An error on its way between threads, where classes do not survive. */
export interface Refusal {
  readonly id: number;
  /** `GIVEN_UP`: the answer to a `give-up`; whoever gave up knows why. */
  readonly code: QueueErrorCode | 'GIVEN_UP';
  readonly message: string;
}

/** New deliveries of one subscription, lists in parallel as in {@link PublishRequest}. */
export interface DeliveryBatch {
  readonly subscription: number;
  readonly tickets: number[];
  readonly attempts: number[];
  readonly redelivered: boolean[];
  readonly ends: number[];
  records: Uint8Array<ArrayBuffer>;
}

export interface Reply {
  /** Requests that are done and have no value: publishes, retries, dead letters. */
  readonly done: number[];
  readonly answers: { readonly id: number; readonly value: CommandResult }[];
  readonly refused: Refusal[];
  readonly deliveries: DeliveryBatch[];
  /** This process's leases ran out: its deliveries are others' now. */
  readonly lost: { readonly tickets: number[]; readonly message: string }[];
  /** Subscriptions that can't go on. */
  readonly ended: {
    readonly subscription: number;
    readonly code: QueueErrorCode;
    readonly message: string;
  }[];
}

export type CommandResult = QueueStats | number | undefined;

export function emptyReply(): Reply {
  return { done: [], answers: [], refused: [], deliveries: [], lost: [], ended: [] };
}
