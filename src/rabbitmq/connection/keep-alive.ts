import type { Connection } from 'amqplib';
import { MAX_DELAY_MS } from '../../common/options.js';

/**
 * Whether a broker keeps the process alive: one timer, in place of its sockets and all their timers, which come and
 * go with the links. It does, unless each of its subscriptions is a helper's (`Subscription.unref`) and nothing that
 * somebody waits for is under way.
 */
export class KeepAlive {
  readonly #timer = setInterval(() => {}, MAX_DELAY_MS);
  /** Whether each subscription keeps the process alive. */
  readonly #subscriptions = new Map<object, boolean>();
  /** Whether there are subscriptions, and none of them keeps the process alive. */
  #onlyHelpers = false;
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

  /** Something is under way that somebody waits for, until `end` is called. */
  readonly begin = (): void => {
    if (this.#underWay++ === 0 && this.#onlyHelpers) this.#timer.ref();
  };

  readonly end = (): void => {
    if (--this.#underWay === 0 && this.#onlyHelpers) this.#timer.unref();
  };

  /** The broker is closed. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #adjust(): void {
    const subscriptions = [...this.#subscriptions.values()];
    this.#onlyHelpers = subscriptions.length > 0 && !subscriptions.includes(true);
    if (this.#onlyHelpers && this.#underWay === 0) this.#timer.unref();
    else this.#timer.ref();
  }
}

/** What amqplib keeps to itself: whoever has a connection that is not to keep the process alive needs these. */
interface Internals extends Connection {
  readonly stream?: { unref?(): void };
  readonly heartbeater?: { readonly sendTimer?: NodeJS.Timeout; readonly recvTimer?: NodeJS.Timeout };
}

/**
 * Has the connection not keep the process alive. Were amqplib to rename what this takes hold of, helpers would keep
 * their program alive, and the tests would say so; nothing else would change.
 */
export function unrefConnection(connection: Connection): void {
  const { stream, heartbeater } = connection as Internals;
  stream?.unref?.();
  heartbeater?.sendTimer?.unref();
  heartbeater?.recvTimer?.unref();
}
