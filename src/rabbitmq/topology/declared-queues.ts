import { DEFAULT_PRIORITY, type Destination, type QueueSpec } from '../../broker.js';

/** A queue that was declared here, or is being declared. */
export interface DeclaredQueue {
  readonly spec: QueueSpec;
  /** Equal specs have equal keys. */
  readonly key: string;
  readonly done: Promise<void>;
  /**
   * `stale`: the queue existed, but may be gone. `locked`: an exclusive queue of this name belongs to another
   * connection, most likely to our previous one, whose end the broker has not noticed yet.
   */
  state: 'pending' | 'there' | 'stale' | 'locked';
}

/** The state of the queues that this process declared. */
export class DeclaredQueues {
  readonly #isConnected: () => boolean;
  readonly #declared = new Map<string, DeclaredQueue>();
  readonly #capacities = new Map<string, number | undefined>();
  /** The queues that are known to delay retries themselves. */
  readonly #delaying = new Set<QueueSpec>();

  /** `isConnected`: whether the connection that declares queues is up. */
  constructor(isConnected: () => boolean) {
    this.#isConnected = isConnected;
  }

  get(queue: string): DeclaredQueue | undefined {
    return this.#declared.get(queue);
  }

  /** All queues except those being declared for the first time. */
  get settled(): DeclaredQueue[] {
    return [...this.#declared.values()].filter(({ state }) => state !== 'pending');
  }

  /** The spec that was last declared under this name. */
  specOf(queue: string): QueueSpec | undefined {
    return this.#declared.get(queue)?.spec;
  }

  isExclusive(queue: string): boolean {
    return this.specOf(queue)?.exclusive === true;
  }

  /**
   * Whether messages to the queue have to wait, because it is defined as exclusive and this process does not own it at
   * the moment.
   */
  isHeld(queue: string): boolean {
    const declared = this.#declared.get(queue);
    if (declared?.spec.exclusive !== true) return false;
    return declared.state === 'locked' || !this.#isConnected();
  }

  /** How many messages a queue may hold; undefined if that is unlimited or unknown. */
  capacityOf(queue: string): number | undefined {
    return this.#capacities.get(queue);
  }

  /** `isTaken`: the queue is used as it is, so what is already known about it takes precedence over the definition. */
  setCapacity(queue: string, capacity: number | undefined, isTaken: boolean): void {
    if (isTaken && this.#capacities.has(queue)) return;
    this.#capacities.set(queue, capacity === Number.POSITIVE_INFINITY ? undefined : capacity);
  }

  /** The spec of a queue that is known to delay retries itself as its spec says. */
  delayingSpecOf(queue: string): QueueSpec | undefined {
    const spec = this.specOf(queue);
    return spec !== undefined && this.#delaying.has(spec) ? spec : undefined;
  }

  setDelaying(spec: QueueSpec, delaysRetries: boolean): void {
    if (delaysRetries) this.#delaying.add(spec);
    else this.#delaying.delete(spec);
  }

  /**
   * Whether a message that expires has to be left in the queue for its consumers: the queue would dead-letter messages
   * that should be dropped, or vice versa. In other programs' queues, their definitions decide.
   */
  keepsExpired({ exchange, routingKey }: Destination): boolean {
    const spec = exchange === '' ? this.specOf(routingKey) : undefined;
    if (spec === undefined) return false;
    const { declare, deadLetter, onExpired } = spec;
    if (declare !== 'match') return deadLetter !== false || onExpired === 'drop';
    return deadLetter !== false && onExpired === 'drop';
  }

  /** The priority to set on a message without one, for queues where RabbitMQ would treat that as 0. */
  defaultPriorityOf({ exchange, routingKey }: Destination): number | undefined {
    const maxPriority = exchange === '' ? this.specOf(routingKey)?.maxPriority : undefined;
    return maxPriority === undefined ? undefined : Math.min(DEFAULT_PRIORITY, maxPriority);
  }

  /** Remembers a declaration that is under way. If it is refused, the previous one applies again. */
  add(spec: QueueSpec, key: string, done: Promise<void>): DeclaredQueue {
    const declared: DeclaredQueue = { spec, key, done, state: 'pending' };
    const { name } = spec;
    const before = this.#declared.get(name);
    this.#declared.set(name, declared);
    done.then(
      () => {
        declared.state = 'there';
        if (before !== undefined && before.spec !== spec) this.#delaying.delete(before.spec);
      },
      () => {
        if (this.#declared.get(name) !== declared) return;
        if (before === undefined) this.#declared.delete(name);
        else this.#declared.set(name, before);
      },
    );
    return declared;
  }

  /** Forgets the queue, as if it had never been declared here. */
  forget(queue: string): void {
    this.#declared.delete(queue);
    this.#capacities.delete(queue);
  }

  /** Called when the queue turned out not to exist: it is declared again at the next `declare`. */
  invalidate(queue: string): void {
    const declared = this.#declared.get(queue);
    if (declared?.state === 'there') declared.state = 'stale';
  }
}
