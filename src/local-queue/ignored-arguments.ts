import type { BrokerEvent, QueueSpec } from '../broker.js';

/** The toolkit's equivalents, which every broker supports. */
const INSTEAD: Readonly<Record<string, string>> = {
  'x-message-ttl': 'use expiresInMs when sending',
  'x-max-length': 'use capacity',
  'x-dead-letter-routing-key': 'use deadLetter',
  'x-delivery-limit': 'use deliveryLimit',
};

/** Reports the arguments of queues, which only RabbitMQ supports, once for each queue. */
export class IgnoredArguments {
  readonly #observe: (event: BrokerEvent) => void;
  readonly #reported = new Set<string>();

  constructor(observe: (event: BrokerEvent) => void) {
    this.#observe = observe;
  }

  report({ name, arguments: given }: QueueSpec): void {
    const names = Object.keys(given);
    if (names.length === 0 || this.#reported.has(name)) return;
    this.#reported.add(name);
    const options = names.map((each) => (INSTEAD[each] === undefined ? each : `${each} (${INSTEAD[each]})`));
    this.#observe({ type: 'ignored', queue: name, options });
  }
}
