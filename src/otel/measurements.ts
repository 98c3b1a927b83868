import type { Attributes, Counter, Histogram, Meter, UpDownCounter } from '@opentelemetry/api';
import {
  measuredName,
  type ProcessTrace,
  type RequestTrace,
  type SendTrace,
  type SettleTrace,
  TraceTimes,
} from '../common/hooks/tracing.js';
import { commonAttributes, errorType } from './messages.js';

/** As the conventions have them, in seconds. */
const BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** The metrics of OpenTelemetry's messaging conventions, and those that they have no name for (`millrace.…`). */
export class Measurements {
  readonly #sent: Counter;
  readonly #consumed: Counter;
  readonly #operation: Histogram;
  readonly #process: Histogram;
  readonly #retries: Counter;
  readonly #dead: Counter;
  readonly #settled: Counter;
  readonly #handling: UpDownCounter;
  readonly #times = new TraceTimes();

  constructor(meter: Meter) {
    const seconds = { unit: 's', advice: { explicitBucketBoundaries: BOUNDS } };
    const messages = { unit: '{message}' };
    this.#sent = meter.createCounter('messaging.client.sent.messages', messages);
    this.#consumed = meter.createCounter('messaging.client.consumed.messages', messages);
    this.#operation = meter.createHistogram('messaging.client.operation.duration', seconds);
    this.#process = meter.createHistogram('messaging.process.duration', seconds);
    this.#retries = meter.createCounter('millrace.retries', { unit: '{attempt}' });
    this.#dead = meter.createCounter('millrace.dead_letters', messages);
    this.#settled = meter.createCounter('millrace.settled.messages', messages);
    this.#handling = meter.createUpDownCounter('millrace.handler.in_flight', { unit: '{handler}' });
  }

  readonly send = {
    start: (sent: SendTrace) => this.#times.begin(sent),
    asyncEnd: (sent: SendTrace) => {
      if (!this.#times.hasBegun(sent)) return;
      const attributes = this.#attributesOf(sent, sent.verb, sent.error);
      this.#sent.add(1, attributes);
      this.#operation.record(this.#times.secondsOf(sent), {
        ...attributes,
        'messaging.operation.type': 'send',
      });
    },
  };

  readonly request = {
    start: (request: RequestTrace) => this.#times.begin(request),
    asyncEnd: (request: RequestTrace) => {
      if (!this.#times.hasBegun(request)) return;
      const attributes = this.#attributesOf(request, 'request', request.error);
      this.#operation.record(this.#times.secondsOf(request), {
        ...attributes,
        'messaging.operation.type': 'send',
      });
    },
  };

  readonly process = {
    start: (run: ProcessTrace) => {
      this.#times.begin(run);
      this.#consumed.add(1, this.#attributesOf(run, 'process', undefined));
      this.#handling.add(1, measuredAttributes(run));
    },
    asyncEnd: (run: ProcessTrace) => {
      if (!this.#times.hasBegun(run)) return;
      this.#handling.add(-1, measuredAttributes(run));
      this.#process.record(this.#times.secondsOf(run), this.#attributesOf(run, 'process', run.error));
    },
  };

  readonly settle = (settled: SettleTrace): void => {
    const attributes = measuredAttributes(settled);
    const { outcome, failure } = settled;
    this.#settled.add(1, { ...attributes, 'millrace.outcome': outcome });
    if (outcome === 'retried') this.#retries.add(1, attributes);
    if (outcome === 'dead-lettered') {
      this.#dead.add(1, { ...attributes, ...(failure && { 'millrace.reason': failure.code }) });
    }
  };

  #attributesOf(
    trace: SendTrace | RequestTrace | ProcessTrace,
    operation: string,
    error: unknown,
  ): Attributes {
    const attributes = { ...measuredAttributes(trace), 'messaging.operation.name': operation };
    return error === undefined ? attributes : { ...attributes, 'error.type': errorType(error) };
  }
}

function measuredAttributes({ queue, url }: Pick<SendTrace, 'queue' | 'url'>): Attributes {
  return commonAttributes({ url, queue: measuredName(queue) });
}
