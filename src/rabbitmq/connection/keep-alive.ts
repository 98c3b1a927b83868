import { MAX_DELAY_MS } from '../../common/options.js';

/** Counts callers that wait for their messages. The owner of the count calls `onChange` after each change. */
export interface Senders {
  waiting: number;
  /** Set only while it matters. */
  onChange: (() => void) | undefined;
}

/**
 * Decides whether a broker keeps the process alive. It does so with its own timer, since sockets and their timers come
 * and go with the connections. The broker keeps the process alive unless all of its subscriptions are unreferenced
 * (`QueueSubscription.unref`) and no caller waits for anything.
 */
export class KeepAlive {
  readonly senders: Senders = { waiting: 0, onChange: undefined };
  readonly #timer = setInterval(() => {}, MAX_DELAY_MS);
  /** Whether each subscription keeps the process alive. */
  readonly #subscriptions = new Map<object, boolean>();
  /** Whether there are subscriptions, and none of them keeps the process alive. */
  #allUnreferenced = false;
  #underWay = 0;
  #keepsAlive = true;

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
    this.#underWay++;
    this.#apply();
    work.then(this.#end, this.#end);
    return work;
  }

  readonly #end = (): void => {
    this.#underWay--;
    this.#apply();
  };

  /** Called when the broker is closed. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #adjust(): void {
    const subscriptions = [...this.#subscriptions.values()];
    this.#allUnreferenced = subscriptions.length > 0 && !subscriptions.includes(true);
    this.senders.onChange = this.#allUnreferenced ? this.#apply : undefined;
    this.#apply();
  }

  readonly #apply = (): void => {
    const keepsAlive = !this.#allUnreferenced || this.#underWay + this.senders.waiting > 0;
    if (keepsAlive === this.#keepsAlive) return;
    this.#keepsAlive = keepsAlive;
    if (keepsAlive) this.#timer.ref();
    else this.#timer.unref();
  };
}
