import type { Broker } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { booleanOption, checkOptionNames, invalidOption } from '../common/options.js';
import { type HttpRequest, type HttpResponse, respond } from './http.js';
import { MessageMetrics } from './message-metrics.js';
import { ProcessMetrics } from './process-metrics.js';
import { StateMetrics } from './state-metrics.js';

/** Options of `createMetrics`. All have defaults. */
export interface MetricsOptions {
  /** Whose connections are reported. Default: none. */
  readonly brokers?: readonly Broker[] | undefined;
  /**
   * Queues, by name or definition, whose depth is queried at each of `brokers` whenever the metrics are read. Default:
   * none.
   */
  readonly queues?: readonly (string | { readonly name: string })[] | undefined;
  /**
   * Whether CPU time, memory and the lag of the event loop are reported, too. Not where another library reports them
   * already. Default: false.
   */
  readonly process?: boolean | undefined;
}

/** The metrics of this process. Made by {@link createMetrics}. */
export interface Metrics {
  /** The media type of `text()`. */
  readonly contentType: string;
  /** The metrics in the text format of Prometheus. Never rejects: unavailable figures are omitted. */
  text(): Promise<string>;
  /** Answers a request with the metrics: for `node:http`, or the raw request and response of a framework. */
  readonly handler: (request: HttpRequest, response: HttpResponse) => void;
  /** Stops counting. */
  stop(): void;
}

/**
 * Counts the operations of all producers, requesters and consumers of this process, from now on, for Prometheus:
 *
 * ```ts
 * const metrics = createMetrics({ brokers: [broker], queues: [orders] });
 * createServer(metrics.handler).listen(9464, '127.0.0.1');
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  checkOptionNames('createMetrics', options, ['brokers', 'queues', 'process']);
  const { brokers = [], queues = [] } = options;
  const isWanted = booleanOption('process', options.process, false);
  const state = new StateMetrics(brokers.map(backendOf), queues.map(nameOf));
  const messages = new MessageMetrics();
  const own = isWanted ? new ProcessMetrics() : undefined;
  const contentType = 'text/plain; version=0.0.4; charset=utf-8';
  const text = async () => `${messages.write()}${await state.write()}${own?.write() ?? ''}`;
  return {
    contentType,
    text,
    handler: (_request, response) => {
      text().then(
        (body) => respond(response, 200, body, { 'content-type': contentType }),
        () => respond(response, 500),
      );
    },
    stop: () => {
      messages.stop();
      own?.stop();
    },
  };
}

function nameOf(queue: string | { readonly name: string }): string {
  const name = typeof queue === 'string' ? queue : queue?.name;
  if (typeof name !== 'string') throw invalidOption('queues', 'names or definitions of queues', queue);
  return name;
}
