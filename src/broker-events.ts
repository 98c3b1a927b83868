/** A part of the seam: the state of a broker, its outages, its events, and their counts. */
import type { Failure } from './message.js';

/**
 * `connected`: usable. `connecting`: the connection is lost and being re-established; sends wait. `blocked`: the broker
 * accepts no publishes at the moment (a resource alarm); sends wait, deliveries continue. `closed`: by `close()`, or
 * after reconnecting was given up.
 */
export type BrokerState = 'connected' | 'connecting' | 'blocked' | 'closed';

/** Events of a broker, for logs and metrics. Local brokers emit `ignored` and `queue-paused`, on disk also `redefined` and `dead-lettered`. */
export type BrokerEvent =
  /**
   * `connect` has not reached the broker yet, and keeps trying for `leftMs` milliseconds. Emitted for the first reason
   * and for each new one.
   */
  | { readonly type: 'waiting'; readonly reason: Error; readonly leftMs: number }
  /** A broker has two connections: one for publishing, and one for consumers and everything about queues. */
  | { readonly type: 'connected'; readonly connection: 'publish' | 'consume'; readonly url: string }
  | {
      readonly type: 'disconnected';
      readonly connection: 'publish' | 'consume';
      readonly reason: Error;
      /** Milliseconds until the next attempt; undefined if there is none. */
      readonly retryInMs: number | undefined;
    }
  | { readonly type: 'blocked'; readonly reason: string }
  | { readonly type: 'unblocked' }
  /** Unconfirmed messages are being sent again, under the same ids, after a reconnect. */
  | { readonly type: 'resent'; readonly count: number }
  /** The broker ended a subscription, or renewing it failed; the next attempt follows after `retryInMs`. */
  | {
      readonly type: 'unsubscribed';
      readonly queue: string;
      readonly reason: Error;
      readonly retryInMs: number;
    }
  | { readonly type: 'resubscribed'; readonly queue: string }
  /** A consumer has subscribed to a queue that an operator has paused: it gets nothing until the queue is resumed. */
  | { readonly type: 'queue-paused'; readonly queue: string }
  /**
   * Options without effect on this broker: arguments of a queue that only RabbitMQ knows, or options of `connect` for
   * another kind of broker. Emitted once for each queue, and for each `connect`.
   */
  | { readonly type: 'ignored'; readonly queue: string | undefined; readonly options: readonly string[] }
  /** A newer definition changed an existing queue on disk; `change` names the properties, their old and new values. */
  | { readonly type: 'redefined'; readonly queue: string; readonly change: string }
  /**
   * RabbitMQ: delayed messages were moved to the queue `millrace.delay.lost`, since their own queue did not exist when they
   * were due. `queues`: those of this broker's delayed messages that do not exist now. Reported by brokers that have sent
   * delayed messages, for their own and those of others.
   */
  | { readonly type: 'delay-lost'; readonly count: number; readonly queues: readonly string[] }
  /** A message became a dead letter without being handled: it can't be read, or was returned too often. */
  | {
      readonly type: 'dead-lettered';
      readonly queue: string;
      readonly id: string;
      readonly failure: Failure;
    }
  /** Such a dead letter could not be stored: the message went back to its queue, and is delivered again. */
  | { readonly type: 'settle-failed'; readonly queue: string; readonly id: string; readonly error: Error };

/** The broker can't be reached. */
export interface Outage {
  /** Why the connection was lost, or the last attempt to connect has failed. */
  readonly reason: Error;
  /** When the connection was lost, or the first attempt failed, in milliseconds since the epoch. */
  readonly since: number;
}

/**
 * Counts of connection events since the broker was opened. They never decrease. On local brokers all are 0, but for
 * subscriptions to a queue in a folder that another program has removed.
 */
export interface BrokerCounts {
  /** Messages sent again, under the same ids, because their connection was lost before they were confirmed. */
  readonly resent: number;
  /** `disconnected` events: lost connections, and failed attempts to reconnect. */
  readonly disconnected: number;
  /** `blocked` events: how often the broker stopped accepting publishes. */
  readonly blocked: number;
  /** `unsubscribed` events: subscriptions that the broker ended, and failed attempts to renew them. */
  readonly unsubscribed: number;
  /** `resubscribed` events: subscriptions that were renewed. */
  readonly resubscribed: number;
}
