import { MAX_DELAY_MS } from '../../common/options.js';

/**
 * Decides whether a broker keeps the process alive. It does so with a timer of its own, since sockets and their timers
 * come and go with the connections. The broker keeps the process alive unless all of its subscriptions are unreferenced
 * (`Subscription.unref`) and no caller waits for anything.
 */
export class KeepAlive {
  readonly #timer = setInterval(() => {}, MAX_DELAY_MS);
  /** Whether each subscription keeps the process alive. */
  readonly #subscriptions = new Map<object, boolean>();
  /** Whether there are subscriptions, and none of them keeps the process alive. */
  #allUnreferenced = false;
  #underWay = 0;

  set(subscription: object, keepsAlive: boolean): void {
    this.#subscriptions.set(subscription, keepsAlive);
    this.#adjust();
  }

  delete(subscription: object): void {
    this.#subscriptions.delete(subscription);
    this.#adjust();
  }

  /** Returns `work`, and keeps the process alive until it is settled. */
  during<T>(work: Promise<T>): Promise<T> {
    this.begin();
    work.then(this.end, this.end);
    return work;
  }

  /** Called when a caller starts to wait for something; `end` is called when the wait is over. */
  readonly begin = (): void => {
    if (this.#underWay++ === 0 && this.#allUnreferenced) this.#timer.ref();
  };

  readonly end = (): void => {
    if (--this.#underWay === 0 && this.#allUnreferenced) this.#timer.unref();
  };

  /** Called when the broker is closed. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #adjust(): void {
    const subscriptions = [...this.#subscriptions.values()];
    this.#allUnreferenced = subscriptions.length > 0 && !subscriptions.includes(true);
    if (this.#allUnreferenced && this.#underWay === 0) this.#timer.unref();
    else this.#timer.ref();
  }
}
