import type { Backend, Delivery, QueueSubscription, SubscribeOptions } from '../../src/broker.js';

const LIMIT_MS = 60_000;

/** A subscriber that keeps what it is handed, for a test to look at and to settle. */
export class Inbox {
  /** All there ever were, in the order of their coming. */
  readonly deliveries: Delivery[] = [];
  readonly lost: Delivery[] = [];
  subscription!: QueueSubscription;
  readonly #queue: string;
  #taken = 0;
  #onDelivery: () => void = () => {};

  private constructor(queue: string) {
    this.#queue = queue;
  }

  static async open(broker: Backend, queue: string, options: Partial<SubscribeOptions> = {}): Promise<Inbox> {
    const inbox = new Inbox(queue);
    inbox.subscription = await broker.subscribe(
      queue,
      { prefetch: 100, onLost: (delivery) => inbox.lost.push(delivery), ...options },
      (delivery) => {
        inbox.deliveries.push(delivery);
        inbox.#onDelivery();
      },
    );
    return inbox;
  }

  /** The first delivery that was not taken yet, as soon as it is there. One caller at a time. */
  async next(): Promise<Delivery> {
    if (this.#taken === this.deliveries.length) await this.#arrival();
    const delivery = this.deliveries[this.#taken++];
    if (delivery === undefined) throw new Error('two callers wait for the next delivery at once');
    return delivery;
  }

  async take(count: number): Promise<Delivery[]> {
    const taken: Delivery[] = [];
    while (taken.length < count) taken.push(await this.next());
    return taken;
  }

  /** Takes and acknowledges the next `count`, and gives their ids. */
  async ackNext(count: number): Promise<string[]> {
    const ids: string[] = [];
    while (ids.length < count) {
      const delivery = await this.next();
      delivery.ack();
      ids.push(delivery.message.id);
    }
    return ids;
  }

  /** Ids of the deliveries that nobody took yet. */
  get untaken(): string[] {
    return idsOf(this.deliveries.slice(this.#taken));
  }

  #arrival(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const soFar = idsOf(this.deliveries).join(', ') || 'none';
        reject(new Error(`nothing more came from '${this.#queue}' within ${LIMIT_MS} ms; so far: ${soFar}`));
      }, LIMIT_MS);
      this.#onDelivery = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

export function idsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map((delivery) => delivery.message.id);
}
