import type { WaitOptions } from '../broker.js';
import { type Linked, LinkedList } from '../common/linked-list.js';
import { durationOption, invalidOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import { unwatchAbort, watchAbort } from './abort-watch.js';

/** Throws `INVALID_OPTION`. */
export function checkWaitOptions({ signal, timeoutMs }: WaitOptions): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidOption('signal', 'an AbortSignal', signal);
  }
  durationOption('timeoutMs', timeoutMs, { infinity: true, default: Number.POSITIVE_INFINITY });
}

/** Throws `ABORTED` where the signal is aborted already. */
export function throwIfAborted(signal: AbortSignal | undefined, action: string): void {
  if (signal?.aborted) {
    throw new QueueError('ABORTED', `${action}: the signal was aborted before it began`, {
      cause: signal.reason,
    });
  }
}

/**
 * One who waits, in one of three states; a timer and an abort listener exist in the first only.
 *
 *   waiting ──resolve()──► resolved
 *      └──cancel(), the time limit, the signal──► rejected
 */
export class Waiter<P, R> implements Linked<Waiter<P, R>> {
  /** What it waits with: an item to put, for example. */
  readonly payload: P;
  readonly promise: Promise<R>;
  list: LinkedList<Waiter<P, R>> | undefined = undefined;
  previous: Waiter<P, R> | undefined = undefined;
  next: Waiter<P, R> | undefined = undefined;

  #resolve!: (result: R) => void;
  #reject!: (error: QueueError) => void;
  #state: 'waiting' | 'resolved' | 'rejected' = 'waiting';
  #timer: NodeJS.Timeout | undefined = undefined;
  #signal: AbortSignal | undefined = undefined;
  #onAbort: (() => void) | undefined = undefined;

  constructor(payload: P) {
    this.payload = payload;
    this.promise = new Promise<R>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Sets the time limit and the signal that end the wait for what is `awaited`. */
  limit({ signal, timeoutMs }: WaitOptions, awaited: string): void {
    if (timeoutMs !== undefined && timeoutMs !== Number.POSITIVE_INFINITY) {
      this.#timer = setTimeout(() => {
        this.cancel(new QueueError('TIMEOUT', `waited ${timeoutMs} ms in vain for ${awaited}`));
      }, timeoutMs);
    }
    if (signal !== undefined) {
      this.#signal = signal;
      this.#onAbort = () => {
        this.cancel(
          new QueueError('ABORTED', `aborted while waiting for ${awaited}`, { cause: signal.reason }),
        );
      };
      watchAbort(signal, this.#onAbort);
    }
  }

  get resolved(): boolean {
    return this.#state === 'resolved';
  }

  /** Ends the wait with what was waited for. Does nothing where it has ended before. */
  resolve(result: R): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'resolved';
    this.#leave();
    this.#resolve(result);
  }

  /** Ends the wait with an error. Does nothing where it has ended before. */
  cancel(error: QueueError): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'rejected';
    this.#leave();
    this.#reject(error);
  }

  #leave(): void {
    this.list?.remove(this);
    clearTimeout(this.#timer);
    if (this.#signal !== undefined && this.#onAbort !== undefined) unwatchAbort(this.#signal, this.#onAbort);
  }
}

/** Those who wait for one thing, served first come, first served. Who is resolved or cancelled leaves it. */
export class WaitList<P, R> extends LinkedList<Waiter<P, R>> {
  /** What is waited for, as the errors say it. */
  readonly awaited: string;

  constructor(awaited: string) {
    super();
    this.awaited = awaited;
  }

  /** Joins the end of the line. Throws `INVALID_OPTION` and, where the signal is aborted already, `ABORTED`. */
  join(payload: P, options?: WaitOptions): Waiter<P, R> {
    if (options !== undefined) {
      checkWaitOptions(options);
      throwIfAborted(options.signal, `the wait for ${this.awaited}`);
    }
    const waiter = new Waiter<P, R>(payload);
    this.append(waiter);
    if (options !== undefined) waiter.limit(options, this.awaited);
    return waiter;
  }

  /** Ends every wait. */
  cancelAll(error: () => QueueError): void {
    while (this.first !== undefined) this.first.cancel(error());
  }
}
