import { MAX_DELAY_MS } from '../../common/options.js';

/**
 * Whether a broker keeps the process alive: one timer in place of its sockets and their timers, which come and go with
 * the connections. It does, unless all its subscriptions are unreferenced (`Subscription.unref`) and no caller waits for
 * anything.
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

  /** The same promise. The process stays alive until it is settled. */
  during<T>(work: Promise<T>): Promise<T> {
    this.begin();
    work.then(this.end, this.end);
    return work;
  }

  /** A caller waits for something until `end` is called. */
  readonly begin = (): void => {
    if (this.#underWay++ === 0 && this.#allUnreferenced) this.#timer.ref();
  };

  readonly end = (): void => {
    if (--this.#underWay === 0 && this.#allUnreferenced) this.#timer.unref();
  };

  /** The broker is closed. */
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
