/** The state of the broker as the page shows it, and since when. */
import type { Broker } from '../../broker.js';
import type { Status } from '../http/live.js';
import type { Sampler } from './sampler.js';

export class BrokerStatus {
  readonly #broker: Pick<Broker, 'state' | 'outage'>;
  readonly #sampler: Pick<Sampler, 'error'>;
  /** Since when it has been in its last known state. */
  #since = Date.now();
  #state: string | undefined;

  constructor(broker: Pick<Broker, 'state' | 'outage'>, sampler: Pick<Sampler, 'error'>) {
    this.#broker = broker;
    this.#sampler = sampler;
  }

  read(): Status {
    const broker = this.#broker;
    const { error } = this.#sampler;
    const state = error === undefined || error.isUnsupported ? broker.state : 'no answer';
    if (this.#state !== undefined && this.#state !== state) this.#since = Date.now();
    this.#state = state;
    // A broker that hangs is noticed before its connection is lost.
    const failedSince = error === undefined || error.isUnsupported ? undefined : error.since;
    const since = Math.min(
      broker.outage?.since ?? Number.POSITIVE_INFINITY,
      failedSince ?? Number.POSITIVE_INFINITY,
    );
    return {
      state,
      since: since === Number.POSITIVE_INFINITY ? this.#since : since,
      text: error?.text ?? broker.outage?.reason.message ?? '',
    };
  }
}
