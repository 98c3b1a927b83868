import type { ConsumerEvent } from '../../src/consumer/consumer.js';

const LIMIT_MS = 30_000;

/** Keeps a consumer's events, for a test to wait for and to compare. Give its `observe` to the consumer. */
export class EventLog {
  readonly events: ConsumerEvent[] = [];
  #onEvent: () => void = () => {};

  readonly observe = (event: ConsumerEvent): void => {
    this.events.push(event);
    this.#onEvent();
  };

  of<T extends ConsumerEvent['type']>(type: T): Extract<ConsumerEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<ConsumerEvent, { type: T }> => event.type === type);
  }

  /** Resolves with the events of that type once there are `count` of them. One caller at a time. */
  async until<T extends ConsumerEvent['type']>(
    type: T,
    count = 1,
  ): Promise<Extract<ConsumerEvent, { type: T }>[]> {
    const isThere = () => this.of(type).length >= count;
    if (!isThere()) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          const seen = this.events.map((event) => event.type).join(', ') || 'none';
          reject(new Error(`not ${count} events '${type}' within ${LIMIT_MS} ms; seen: ${seen}`));
        }, LIMIT_MS);
        this.#onEvent = () => {
          if (!isThere()) return;
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.of(type);
  }
}
