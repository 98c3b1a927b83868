import type { Delivery, QueueSubscription } from '../broker.js';
import { Deferred } from '../common/waiting/waiting.js';
import { QueueError } from '../errors.js';

/** A permit of a lock, as returned by `Lock.acquire`. */
export interface HeldLock extends AsyncDisposable {
  /** The name of the lock. */
  readonly name: string;
  /** The number of the permit, from 0 on. No two holders have the same one at the same time. */
  readonly permit: number;
  /**
   * Aborted when the lock is lost without being released: the connection to the broker was lost, the broker took the
   * permit back after its time limit, or the broker was closed here. Another holder may have the permit from then on,
   * or even a moment earlier. Pass this signal to the work that is done under the lock.
   */
  readonly signal: AbortSignal;
  /** Whether the lock was lost. */
  readonly lost: boolean;
  /** Passes the permit to the next waiter. Has no effect if it was released or lost before. Always resolves. */
  release(): Promise<void>;
}

/**
 * A permit that is awaited, then held: the only unsettled delivery of a subscription.
 *
 *   waiting ──permit delivered──► held ──release()──► over
 *      │                            └──taken away──► lost
 *      └──release(), ends the wait──► over
 */
export class Permit implements HeldLock {
  readonly name: string;
  permit = 0;
  readonly #acquired = new Deferred();
  readonly #lost = new AbortController();
  readonly #stopped = new AbortController();
  #state: 'waiting' | 'held' | 'lost' | 'over' = 'waiting';
  #subscription: QueueSubscription | undefined;

  constructor(name: string) {
    this.name = name;
    this.#acquired.promise.catch(() => {});
  }

  /** Resolves when the permit is held. Rejects if it can no longer be delivered. */
  get acquired(): Promise<void> {
    return this.#acquired.promise;
  }

  /** Aborted when the permit is released or no longer awaited. */
  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  get lost(): boolean {
    return this.#state === 'lost';
  }

  /** Adds the subscription. It may have delivered the permit before its caller could call this. */
  attach(subscription: QueueSubscription): void {
    this.#subscription = subscription;
    subscription.ended.then(
      () =>
        this.#acquired.reject(new QueueError('CLOSED', `acquiring '${this.name}': the broker was closed`)),
      (error) => this.#acquired.reject(error),
    );
    if (this.#state === 'lost' || this.#state === 'over') void subscription.close();
  }

  readonly take = (delivery: Delivery): void => {
    if (this.#state !== 'waiting') {
      delivery.release();
      return;
    }
    this.#state = 'held';
    this.permit = Number(delivery.message.body);
    this.#acquired.resolve();
  };

  readonly lose = (_delivery: Delivery, cause: Error): void => {
    if (this.#state !== 'held') return;
    this.#state = 'lost';
    this.#lost.abort(
      new QueueError('CLOSED', `the lock '${this.name}' is lost, and others may have it: ${cause.message}`, {
        cause,
      }),
    );
    // The next permit must go to another waiter.
    void this.#subscription?.close();
  };

  async release(): Promise<void> {
    if (this.#state !== 'lost') this.#state = 'over';
    this.#stopped.abort();
    await this.#subscription?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
