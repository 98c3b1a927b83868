/** The state of the broker as the page shows it, and since when. */
import type { Broker } from '../../broker.js';
import type { Status } from '../http/live.js';
import type { Sampler } from './sampler.js';

export class BrokerStatus {
  readonly #broker: Broker;
  readonly #sampler: Pick<Sampler, 'error'>;
  /** Since when it has been in its last known state. */
  #since = Date.now();
  #state: string | undefined;

  constructor(broker: Broker, sampler: Pick<Sampler, 'error'>) {
    this.#broker = broker;
    this.#sampler = sampler;
  }

  read(): Status {
    const broker = this.#broker;
    const { error } = this.#sampler;
    const state = error === undefined || error.isUnsupported ? broker.state : 'no answer';
    if (this.#state !== undefined && this.#state !== state) this.#since = Date.now();
    this.#state = state;
    const failedSince = error === undefined || error.isUnsupported ? undefined : error.since;
    return {
      state,
      since: broker.outage?.since ?? failedSince ?? this.#since,
      text: error?.text ?? broker.outage?.reason.message ?? '',
    };
  }
}
