import type { ConsumerEvent } from '../../src/consumer/consumer.js';

const LIMIT_MS = 60_000;

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

  /**
   * Resolves with all events once there are `count` of them, in the order of their attempts. RabbitMQ confirms a retry
   * on one connection and delivers it on another: the next attempt may end before the retry is reported.
   */
  async allByAttempt(count: number): Promise<ConsumerEvent[]> {
    await this.#untilTrue(() => this.events.length >= count, `${count} events`);
    return this.events.toSorted((a, b) => attemptOf(a) - attemptOf(b) || stepOf(a) - stepOf(b));
  }

  /** Resolves with the events of that type once there are `count` of them. One caller at a time. */
  async until<T extends ConsumerEvent['type']>(
    type: T,
    count = 1,
  ): Promise<Extract<ConsumerEvent, { type: T }>[]> {
    await this.#untilTrue(() => this.of(type).length >= count, `${count} events '${type}'`);
    return this.of(type);
  }

  async #untilTrue(isThere: () => boolean, what: string): Promise<void> {
    if (isThere()) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        const seen = this.events.map((event) => event.type).join(', ') || 'none';
        reject(new Error(`not ${what} within ${LIMIT_MS} ms; seen: ${seen}`));
      }, LIMIT_MS);
      this.#onEvent = () => {
        if (!isThere()) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function attemptOf(event: ConsumerEvent): number {
  return 'attempt' in event ? event.attempt : 0;
}

/** What may happen to one attempt, in this order: it is slow, it is postponed any number of times, it ends. */
function stepOf({ type }: ConsumerEvent): number {
  if (type === 'slow') return 0;
  return type === 'postponed' ? 1 : 2;
}
