import {
  measuredName,
  onSettled,
  onTrace,
  type ProcessTrace,
  type RequestTrace,
  type SendTrace,
  type SettleTrace,
  TraceTimes,
} from '../common/hooks/tracing.js';
import { postponesOf } from '../common/message/retry-headers.js';
import { isQueueError } from '../errors.js';
import { Histogram, type Labels, SECONDS, Value, writeAll } from './instruments.js';

/** A message may wait for hours. */
const WAITING_SECONDS = [0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 3600, 21_600, 86_400];

/**
 * The outcomes of the messages that this process sends and handles, by the names of OpenTelemetry's messaging
 * conventions where they have one. Counts from its creation until `stop`.
 */
export class MessageMetrics {
  readonly #sent = new Value(
    'counter',
    'messaging_client_sent_messages_total',
    'Messages sent, and those that could not be sent (error_type).',
  );
  readonly #consumed = new Value(
    'counter',
    'messaging_client_consumed_messages_total',
    'Messages passed to a handler, counting each attempt.',
  );
  readonly #operation = new Histogram(
    'messaging_client_operation_duration_seconds',
    'Time from a send until it was stored, and from a request until its reply.',
    SECONDS,
  );
  readonly #process = new Histogram('messaging_process_duration_seconds', 'How long handlers took.', SECONDS);
  readonly #waited = new Histogram(
    'millrace_time_in_queue_seconds',
    'The age of messages when their first attempt began.',
    WAITING_SECONDS,
  );
  readonly #settled = new Value(
    'counter',
    'millrace_settled_messages_total',
    'Messages that consumers took, by outcome.',
  );
  readonly #retries = new Value(
    'counter',
    'millrace_retries_total',
    'Attempts that failed and will be made again.',
  );
  readonly #dead = new Value(
    'counter',
    'millrace_dead_letters_total',
    'Messages that became dead letters, by reason.',
  );
  readonly #sending = new Value(
    'gauge',
    'millrace_sends_in_flight',
    'Sends in progress: waiting or unconfirmed.',
  );
  readonly #handling = new Value('gauge', 'millrace_handlers_in_flight', 'Handlers that run at present.');
  readonly #times = new TraceTimes();
  readonly #errorTypes = new Set<string>();

  // The series that nearly every message needs, by the name of its queue.
  readonly #sends = new KnownQueues((labels) => this.#sendSeries(labels, 'send'));
  readonly #publishes = new KnownQueues((labels) => this.#sendSeries(labels, 'publish'));
  readonly #requests = new KnownQueues((labels) =>
    this.#operation.distribution({ ...labels, messaging_operation_name: 'request' }),
  );
  readonly #handlers = new KnownQueues((labels) => ({
    consumed: this.#consumed.cell(labels),
    running: this.#handling.cell(labels),
    duration: this.#process.distribution(labels),
  }));
  readonly #ages = new KnownQueues((labels) => this.#waited.distribution(labels));
  readonly #handled = new KnownQueues((labels) => this.#settled.cell({ ...labels, outcome: 'handled' }));

  readonly #send = {
    start: (trace: SendTrace) => {
      this.#times.begin(trace);
      this.#sendOf(trace).underWay.value++;
    },
    asyncEnd: (trace: SendTrace) => {
      if (!this.#times.hasBegun(trace)) return;
      const { underWay, sent, duration } = this.#sendOf(trace);
      underWay.value--;
      const seconds = this.#times.secondsOf(trace);
      if (trace.error === undefined) {
        sent.value++;
        this.#operation.observe(duration, seconds);
        return;
      }
      const operation = { messaging_operation_name: trace.verb, error_type: this.#errorType(trace.error) };
      const failed = { ...labelsOf(trace), ...operation };
      this.#sent.add(failed);
      this.#operation.observe(this.#operation.distribution(failed), seconds);
    },
  };

  readonly #request = {
    start: (trace: RequestTrace) => {
      this.#times.begin(trace);
    },
    asyncEnd: (trace: RequestTrace) => {
      if (!this.#times.hasBegun(trace)) return;
      const operation = { messaging_operation_name: 'request', error_type: this.#errorType(trace.error) };
      const duration =
        trace.error === undefined
          ? this.#requests.of(trace)
          : this.#operation.distribution({ ...labelsOf(trace), ...operation });
      this.#operation.observe(duration, this.#times.secondsOf(trace));
    },
  };

  readonly #run = {
    start: (trace: ProcessTrace) => {
      this.#times.begin(trace);
      const { consumed, running } = this.#handlers.of(trace);
      consumed.value++;
      running.value++;
      const isFirst = trace.attempt === 1 && postponesOf(trace.headers) === 0;
      if (trace.timestamp !== undefined && isFirst) {
        this.#waited.observe(this.#ages.of(trace), Math.max(0, Date.now() - trace.timestamp) / 1000);
      }
    },
    asyncEnd: (trace: ProcessTrace) => {
      if (!this.#times.hasBegun(trace)) return;
      const { running, duration } = this.#handlers.of(trace);
      running.value--;
      const failed =
        trace.error === undefined
          ? undefined
          : this.#process.distribution({ ...labelsOf(trace), error_type: this.#errorType(trace.error) });
      this.#process.observe(failed ?? duration, this.#times.secondsOf(trace));
    },
  };

  readonly #settle = (trace: SettleTrace) => {
    const { outcome } = trace;
    if (outcome === 'handled') {
      this.#handled.of(trace).value++;
      return;
    }
    const labels = labelsOf(trace);
    this.#settled.add({ ...labels, outcome });
    if (outcome === 'retried') this.#retries.add(labels);
    if (outcome === 'dead-lettered') this.#dead.add({ ...labels, reason: trace.failure?.code });
  };

  readonly #unsubscribe = [
    onTrace<SendTrace>('millrace.send', this.#send),
    onTrace<RequestTrace>('millrace.request', this.#request),
    onTrace<ProcessTrace>('millrace.process', this.#run),
    onSettled(this.#settle),
  ];

  stop(): void {
    for (const each of this.#unsubscribe) each();
  }

  write(): string {
    return writeAll([
      this.#sent,
      this.#consumed,
      this.#settled,
      this.#retries,
      this.#dead,
      this.#sending,
      this.#handling,
      this.#operation,
      this.#process,
      this.#waited,
    ]);
  }

  #sendOf(trace: SendTrace) {
    return (trace.verb === 'send' ? this.#sends : this.#publishes).of(trace);
  }

  #sendSeries(labels: Labels, verb: SendTrace['verb']) {
    const operation = { ...labels, messaging_operation_name: verb };
    return {
      underWay: this.#sending.cell(labels),
      sent: this.#sent.cell(operation),
      duration: this.#operation.distribution(operation),
    };
  }

  /** Programs may throw errors of any number of names, which must not take the series of the queues. */
  #errorType(error: unknown): string | undefined {
    const type = errorType(error);
    if (type === undefined || this.#errorTypes.has(type)) return type;
    if (this.#errorTypes.size >= MAX_ERROR_TYPES) return 'other';
    this.#errorTypes.add(type);
    return type;
  }
}

/** How many names are remembered: as many as a metric has series. */
const MAX_KNOWN = 1000;

/** The codes of this package, and the classes of a program. */
const MAX_ERROR_TYPES = 50;

/** The series of each queue, so that their labels need not be written for each message. */
class KnownQueues<Series> {
  readonly #make: (labels: Labels) => Series;
  readonly #local = new Map<string, Series>();
  readonly #rabbitmq = new Map<string, Series>();

  constructor(make: (labels: Labels) => Series) {
    this.#make = make;
  }

  of(trace: Pick<SendTrace, 'queue' | 'url'>): Series {
    const byName = systemOf(trace.url) === 'rabbitmq' ? this.#rabbitmq : this.#local;
    const known = byName.get(trace.queue);
    if (known !== undefined) return known;
    const made = this.#make(labelsOf(trace));
    if (byName.size < MAX_KNOWN) byName.set(trace.queue, made);
    return made;
  }
}

/** By the queue, exchange or topic: routing keys may be any number. */
function labelsOf({ queue, url }: Pick<SendTrace, 'queue' | 'url'>): Labels {
  return { messaging_system: systemOf(url), messaging_destination_name: measuredName(queue) };
}

/** As OpenTelemetry calls it. */
function systemOf(url: string): 'rabbitmq' | 'millrace' {
  return url.startsWith('amqp') ? 'rabbitmq' : 'millrace';
}

/** A code of ours, or the name of an error's class; undefined without an error. */
function errorType(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  if (isQueueError(error)) return error.code;
  try {
    const { name } = error as Error;
    return typeof name === 'string' && /^\w{1,64}$/.test(name) ? name : 'other';
  } catch {
    return 'other';
  }
}
