import type { Broker } from '../broker.js';
import { backendOf } from '../common/backend-of.js';
import { checkOptionNames, durationOption } from '../common/options.js';
import type { Consumer } from '../consumer/consumer.js';
import { type HttpRequest, type HttpResponse, respond } from './http.js';

/** Options of `createHealth`. All have defaults. */
export interface HealthOptions {
  /** Not ready while one of them is not connected. Default: none. */
  readonly brokers?: readonly Broker[] | undefined;
  /** Not ready while one of them has not started, stops, or has ended. Default: none. */
  readonly consumers?: readonly Consumer[] | undefined;
  /**
   * How long a broker may be away before the process counts as not ready: reconnecting takes a moment. Milliseconds.
   * Default: 10,000.
   */
  readonly notConnectedMs?: number | undefined;
}

/** Whether the process is usable, and if not, why. */
export interface HealthReport {
  /** Whether the process is usable. */
  readonly ok: boolean;
  /** Why it is not; empty if it is. */
  readonly reasons: readonly string[];
}

/** The health of this process. Made by {@link createHealth}. */
export interface Health {
  /** Whether work may be given to this process. */
  ready(): HealthReport;
  /** From now on it is not ready: it finishes its work and ends. */
  drain(): void;
  /** Further consumers, that are made later. */
  watch(consumer: Consumer): void;
  /**
   * Answers `/livez` with 200 (the event loop turns), `/readyz` and `/healthz` with 200 or 503 and the reasons as JSON.
   * Returns false for any other path, which is then not answered.
   */
  readonly handler: (request: HttpRequest, response: HttpResponse) => boolean;
}

/**
 * Health checks for one's own HTTP server:
 *
 * ```ts
 * const health = createHealth({ brokers: [broker], consumers: [consumer] });
 * createServer((request, response) => {
 *   if (!health.handler(request, response)) response.writeHead(404).end();
 * }).listen(8080, '127.0.0.1');
 * ```
 *
 * Throws `INVALID_OPTION`.
 */
export function createHealth(options: HealthOptions = {}): Health {
  checkOptionNames('createHealth', options, ['brokers', 'consumers', 'notConnectedMs']);
  const brokers = (options.brokers ?? []).map(backendOf);
  const consumers = [...(options.consumers ?? [])];
  const notConnectedMs = durationOption('notConnectedMs', options.notConnectedMs, { default: 10_000 });
  let isDraining = false;

  const ready = (): HealthReport => {
    const reasons = [
      ...(isDraining ? ['draining: this process is finishing its work and will exit'] : []),
      ...brokers.flatMap((broker) => brokerReason(broker, notConnectedMs)),
      ...consumers.flatMap(consumerReason),
    ];
    return { ok: reasons.length === 0, reasons };
  };
  return {
    ready,
    drain: () => {
      isDraining = true;
    },
    watch: (consumer) => {
      consumers.push(consumer);
    },
    handler: ({ url = '' }, response) => {
      const path = url.split('?', 1)[0];
      if (path === '/livez') answer(response, { ok: true, reasons: [] });
      else if (path === '/readyz' || path === '/healthz') answer(response, ready());
      else return false;
      return true;
    },
  };
}

function answer(response: HttpResponse, report: HealthReport): void {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  respond(response, report.ok ? 200 : 503, `${JSON.stringify(report)}\n`, headers);
}

function brokerReason({ url, state, outage }: Broker, notConnectedMs: number): readonly string[] {
  if (state === 'closed') return [`${url}: closed`];
  if (outage === undefined) return [];
  const awayMs = Date.now() - outage.since;
  if (awayMs < notConnectedMs) return [];
  return [`${url}: not connected for ${Math.round(awayMs / 1000)} s: ${outage.reason.message}`];
}

function consumerReason({ queue, state, error }: Consumer): readonly string[] {
  if (error !== undefined) return [`the consumer of '${queue}' has ended: ${error.message}`];
  if (state === 'stopping') return [`the consumer of '${queue}' is draining`];
  if (state === 'stopped') return [`the consumer of '${queue}' has stopped`];
  return state === 'idle' ? [`the consumer of '${queue}' has not started`] : [];
}
