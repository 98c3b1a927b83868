import type { BrokerCounts, BrokerEvent } from '../broker.js';

/** Counts a broker's events on their way to its observer. */
export class EventCounts {
  readonly #counts = { resent: 0, disconnected: 0, blocked: 0, unsubscribed: 0, resubscribed: 0 };

  get now(): BrokerCounts {
    return { ...this.#counts };
  }

  add(event: BrokerEvent): void {
    if (event.type === 'resent') this.#counts.resent += event.count;
    else if (event.type in this.#counts) this.#counts[event.type as keyof BrokerCounts]++;
  }
}
