import type { WaitOptions } from '../broker.js';
import type { ConsumerCounts } from './counts.js';

export interface StopOptions {
  /**
   * How long running handlers may still take. After that their `signal` is aborted and their messages go back to
   * the queue. Milliseconds, `Infinity` for no limit. Default: 30 000.
   */
  readonly deadlineMs?: number | undefined;
}

export interface StopResult {
  /** Handlers that had not finished by the deadline; their messages went back to the queue. */
  readonly unfinished: number;
}

export type ConsumerState = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped';

/** Handles the messages of one queue. Made by `createConsumer`. */
export interface Consumer {
  readonly state: ConsumerState;
  /** What became of its messages so far, for metrics. A copy: read it again for later numbers. */
  readonly counts: ConsumerCounts;
  /**
   * Declares the queue and begins to take messages. From then on the subscription renews itself after whatever
   * happens to the link. A consumer is started once.
   * Rejects with what declaring and subscribing reject with, `TIMEOUT` after `timeoutMs` (default 30 000),
   * `CLOSED` where `stop` came first.
   */
  start(options?: WaitOptions): Promise<void>;
  /**
   * Takes no more messages, gives those not begun back to the queue at no cost, and lets the running handlers
   * finish until the deadline. Always resolves. A second call waits for the same end, and brings the deadline
   * forward where its own is earlier.
   */
  stop(options?: StopOptions): Promise<StopResult>;
  /**
   * From now on this consumer does not keep the process alive: it is a helper of a program that does something else.
   * When that is done the process ends. A handler at work keeps it alive by what it waits for (a timer, a socket, a
   * thread), so the end may wait for the running handlers, but not for the messages after them: a helper that is always
   * busy stops for a moment about twice a second. Waits that are unreferenced themselves (`timer.unref()`) keep nothing
   * alive, and the process ends in the midst of them. What was not acknowledged comes again, where
   * the broker outlives the process. On RabbitMQ the connections keep the process alive until `broker.close()`, unless
   * there are consumers and all of them are helpers. At any time, before `start` as well.
   */
  unref(): void;
  /** Takes `unref` back. */
  ref(): void;
  /**
   * Resolves when the consumer has stopped. Rejects when it can't go on: the queue was deleted and is not ours to
   * declare, the permission was taken. Whoever does not look at it, and does not `observe`, gets a process warning.
   */
  readonly ended: Promise<void>;
}
