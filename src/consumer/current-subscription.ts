import type { Backend, QueueSubscription, WaitOptions } from '../broker.js';
import type { Queue } from '../queue.js';
import type { ConsumerSettings } from './consumer-options.js';
import type { Dispatcher } from './dispatcher.js';

/** The current subscription of a consumer. A pause ends it, and a new one takes its place. */
export class CurrentSubscription<Out> {
  readonly #broker: Backend;
  readonly #queue: Pick<Queue<never, Out>, 'name' | 'spec'>;
  readonly #settings: ConsumerSettings<Out>;
  readonly #dispatcher: Dispatcher<Out>;
  #subscription: QueueSubscription | undefined;
  #prefetch = 0;
  #keepsAlive = true;

  constructor(
    broker: Backend,
    queue: Pick<Queue<never, Out>, 'name' | 'spec'>,
    settings: ConsumerSettings<Out>,
    dispatcher: Dispatcher<Out>,
  ) {
    this.#broker = broker;
    this.#queue = queue;
    this.#settings = settings;
    this.#dispatcher = dispatcher;
  }

  /** Of the last subscription. */
  get prefetch(): number {
    return this.#prefetch;
  }

  get keepsAlive(): boolean {
    return this.#keepsAlive;
  }

  /** Declares the queue and subscribes to it. Rejects as `Broker.subscribe` does. */
  async open(prefetch: number, wait: WaitOptions): Promise<void> {
    const { concurrency, priority, retries } = this.#settings;
    await this.#broker.declare(this.#queue.spec, wait);
    this.#subscription = await this.#broker.subscribe(
      this.#queue.name,
      {
        ...wait,
        prefetch,
        concurrency,
        priority,
        exactDelaysMs: retries.exactDelaysMs,
        onLost: this.#dispatcher.lose,
      },
      this.#dispatcher.accept,
    );
    this.#prefetch = prefetch;
    if (!this.#keepsAlive) this.#subscription.unref();
  }

  /** Calls back when the present subscription ends without having been retired. */
  onEnded(onEnded: () => void, onFailed: (error: Error) => void): void {
    const subscription = this.#subscription;
    const isPresent = () => this.#subscription === subscription;
    subscription?.ended.then(
      () => isPresent() && onEnded(),
      (error) => isPresent() && onFailed(error),
    );
  }

  /** Ends the subscription, but for the messages that are being handled. `drain` is called once it is cancelled. */
  async retire(drain: () => void): Promise<void> {
    const subscription = this.#subscription;
    this.#subscription = undefined;
    const cancelled = subscription?.cancel();
    drain();
    await cancelled;
    if (subscription !== undefined) this.#dispatcher.retire(subscription);
  }

  /** No further deliveries. */
  async cancel(): Promise<void> {
    await this.#subscription?.cancel();
  }

  async close(): Promise<void> {
    await this.#subscription?.close();
  }

  unref(): void {
    this.#keepsAlive = false;
    this.#subscription?.unref();
  }

  ref(): void {
    this.#keepsAlive = true;
    this.#subscription?.ref();
  }
}
