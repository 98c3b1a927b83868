import type { WaitOptions } from '../broker.js';
import { type Linked, LinkedList } from '../common/linked-list.js';
import { checkWaitOptions } from '../common/options.js';
import { Deferred, limitWait, throwIfAborted } from '../common/waiting/waiting.js';
import type { QueueError } from '../errors.js';

/** The words of an error: `put: no room within 100 ms`. */
export interface WaitTexts {
  readonly action: string;
  readonly unmet: string;
}

/**
 * One wait, in one of three states. Only the first has a timer and an abort listener.
 *
 *   waiting ──resolve()──► resolved
 *      └──cancel(), the time limit, the signal──► rejected
 */
export class Waiter<P, R> implements Linked<Waiter<P, R>> {
  /** Data of the caller, such as the item to put. */
  readonly payload: P;
  list: LinkedList<Waiter<P, R>> | undefined = undefined;
  previous: Waiter<P, R> | undefined = undefined;
  next: Waiter<P, R> | undefined = undefined;

  readonly #deferred = new Deferred<R>();
  #state: 'waiting' | 'resolved' | 'rejected' = 'waiting';
  #release: (() => void) | undefined = undefined;

  constructor(payload: P) {
    this.payload = payload;
  }

  get promise(): Promise<R> {
    return this.#deferred.promise;
  }

  /** Sets the time limit and the signal that end the wait. */
  limit(wait: WaitOptions, { action, unmet }: WaitTexts): void {
    this.#release = limitWait(wait, action, (error) => this.cancel(error), unmet);
  }

  get resolved(): boolean {
    return this.#state === 'resolved';
  }

  /** Ends the wait successfully. Does nothing if it has ended before. */
  resolve(result: R): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'resolved';
    this.#leave();
    this.#deferred.resolve(result);
  }

  /** Ends the wait with an error. Does nothing if it has ended before. */
  cancel(error: QueueError): void {
    if (this.#state !== 'waiting') return;
    this.#state = 'rejected';
    this.#leave();
    this.#deferred.reject(error);
  }

  #leave(): void {
    this.list?.remove(this);
    this.#release?.();
  }
}

/** A list of waiters, served first come, first served. A waiter leaves when it is resolved or cancelled. */
export class WaitList<P, R> extends LinkedList<Waiter<P, R>> {
  readonly texts: WaitTexts;

  constructor(texts: WaitTexts) {
    super();
    this.texts = texts;
  }

  /** Joins the end of the list. Throws `INVALID_OPTION` and, if the signal is aborted already, `ABORTED`. */
  join(payload: P, options?: WaitOptions): Waiter<P, R> {
    if (options !== undefined) {
      checkWaitOptions(options);
      throwIfAborted(options.signal, this.texts.action);
    }
    const waiter = new Waiter<P, R>(payload);
    this.append(waiter);
    if (options !== undefined) waiter.limit(options, this.texts);
    return waiter;
  }

  /** Ends every wait. */
  cancelAll(error: () => QueueError): void {
    while (this.first !== undefined) this.first.cancel(error());
  }
}
