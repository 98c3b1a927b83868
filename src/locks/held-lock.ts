import type { Delivery, Subscription } from '../broker.js';
import { Deferred } from '../common/limits.js';
import { QueueError } from '../errors.js';

/** One permit of a lock. Made by `Lock.acquire`. */
export interface HeldLock extends AsyncDisposable {
  /** The name of the lock. */
  readonly name: string;
  /** Which of the permits it is, from 0 on: no two holders have the same one at a time. */
  readonly permit: number;
  /**
   * Aborted when the lock is lost without having been released: the link to the broker broke, the broker took the
   * permit back after its time limit, or it was closed here. Another holder may have the permit from then on, or even
   * a moment before. Pass it on to the work that is done under the lock.
   */
  readonly signal: AbortSignal;
  /** Whether the lock is lost. */
  readonly lost: boolean;
  /** Returns the permit to the next waiter. Repeating it, and releasing what is lost, do nothing. Always resolves. */
  release(): Promise<void>;
}

/**
 * A permit that is waited for, and then held: the one unsettled delivery of a subscription.
 *
 *   waiting ──the permit comes──► held ──release()──► over
 *      │                            └──it is taken away──► lost
 *      └──release(): no longer waited for──► over
 */
export class Permit implements HeldLock {
  readonly name: string;
  permit = 0;
  readonly #acquired = new Deferred();
  readonly #lost = new AbortController();
  readonly #stopped = new AbortController();
  #state: 'waiting' | 'held' | 'lost' | 'over' = 'waiting';
  #subscription: Subscription | undefined;

  constructor(name: string) {
    this.name = name;
    this.#acquired.promise.catch(() => {});
  }

  /** Resolves when the permit is held. Rejects when it can't come any more. */
  get acquired(): Promise<void> {
    return this.#acquired.promise;
  }

  /** Aborted when the permit is no longer waited for. */
  get stopped(): AbortSignal {
    return this.#stopped.signal;
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  get lost(): boolean {
    return this.#state === 'lost';
  }

  /** The subscription begins to deliver before its caller has it. */
  attach(subscription: Subscription): void {
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
    // The next permit must go to a waiter.
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
