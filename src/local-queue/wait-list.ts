import type { WaitOptions } from '../broker.js';
import { QueueError } from '../errors.js';
import { durationOption, invalidOption } from '../options.js';
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
export class Waiter<P, R> {
  /** What it waits with: an item to put, for example. */
  readonly payload: P;
  readonly promise: Promise<R>;
  /** The neighbours in the list. For the list alone. */
  previous: Waiter<P, R> | undefined = undefined;
  next: Waiter<P, R> | undefined = undefined;

  readonly #list: WaitList<P, R>;
  #resolve!: (result: R) => void;
  #reject!: (error: QueueError) => void;
  #state: 'waiting' | 'resolved' | 'rejected' = 'waiting';
  #timer: NodeJS.Timeout | undefined = undefined;
  #signal: AbortSignal | undefined = undefined;
  #onAbort: (() => void) | undefined = undefined;

  constructor(list: WaitList<P, R>, payload: P) {
    this.#list = list;
    this.payload = payload;
    this.promise = new Promise<R>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Sets the time limit and the signal that end the wait. */
  limit({ signal, timeoutMs }: WaitOptions): void {
    const { awaited } = this.#list;
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
    this.#list.remove(this);
    clearTimeout(this.#timer);
    if (this.#signal !== undefined && this.#onAbort !== undefined) unwatchAbort(this.#signal, this.#onAbort);
  }
}

/** Those who wait for one thing, served first come, first served. Leaving early takes constant time. */
export class WaitList<P, R> {
  /** What is waited for, as the errors say it. */
  readonly awaited: string;
  #first: Waiter<P, R> | undefined = undefined;
  #last: Waiter<P, R> | undefined = undefined;

  constructor(awaited: string) {
    this.awaited = awaited;
  }

  /** Joins the end of the line. Throws `INVALID_OPTION` and, where the signal is aborted already, `ABORTED`. */
  join(payload: P, options?: WaitOptions): Waiter<P, R> {
    if (options !== undefined) {
      checkWaitOptions(options);
      throwIfAborted(options.signal, `the wait for ${this.awaited}`);
    }
    const waiter = new Waiter<P, R>(this, payload);
    if (this.#last === undefined) {
      this.#first = waiter;
    } else {
      this.#last.next = waiter;
      waiter.previous = this.#last;
    }
    this.#last = waiter;
    if (options !== undefined) waiter.limit(options);
    return waiter;
  }

  /** The one who is next; resolving or cancelling takes it out. */
  get first(): Waiter<P, R> | undefined {
    return this.#first;
  }

  /** Ends every wait. */
  cancelAll(error: () => QueueError): void {
    while (this.#first !== undefined) this.#first.cancel(error());
  }

  /** For the waiter alone, which knows that it is in the list. */
  remove(waiter: Waiter<P, R>): void {
    const { previous, next } = waiter;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    waiter.previous = undefined;
    waiter.next = undefined;
  }
}
