/** `millrace/otel`: traces and metrics with OpenTelemetry. Needs the package `@opentelemetry/api`. */
import { type MeterProvider, metrics, type TracerProvider, trace } from '@opentelemetry/api';
import { instrumentation } from '../common/hooks/instrumentation.js';
import { onSettled, onTrace } from '../common/hooks/tracing.js';
import { checkOptionNames, wordOption } from '../common/options.js';
import { QueueError } from '../errors.js';
import { Measurements } from './measurements.js';
import { ProcessSpans, SendSpans } from './spans.js';

/** Options of `instrument`. All have defaults. */
export interface InstrumentOptions {
  /** A `TracerProvider` of OpenTelemetry. Default: the global one. */
  readonly tracerProvider?:
    | {
        /** The tracer of that name. */
        getTracer(name: string): unknown;
      }
    | undefined;
  /** A `MeterProvider` of OpenTelemetry. Default: the global one. */
  readonly meterProvider?:
    | {
        /** The meter of that name. */
        getMeter(name: string): unknown;
      }
    | undefined;
  /**
   * How the span of a handler refers to that of the sender. `'parent'`: it is its child, and linked to it, so that one
   * trace shows the whole way. `'link'`: it starts its own trace, which is linked. Batches are always linked, since a
   * span has one parent. Default: `'parent'`.
   */
  readonly links?: 'parent' | 'link' | undefined;
}

/**
 * Traces and measures the operations of all producers, publishers, requesters and consumers of this process, from now
 * on, by the messaging conventions of OpenTelemetry:
 *
 * - `send QUEUE` and `request QUEUE` begin with the call and end when the message is stored, or the reply is there. They
 *   travel with the message as `traceparent`, unless the sender has set that header itself. Retries, dead letters and
 *   replays keep it.
 * - `process QUEUE` is active while the handler runs, so that what is sent there is a child of it. For a handler in
 *   threads, call `instrument` in its module, too.
 *
 * Returns what ends it. Throws `INVALID_OPTION` if the process is instrumented already.
 */
export function instrument(options: InstrumentOptions = {}): () => void {
  checkOptionNames('instrument', options, ['tracerProvider', 'meterProvider', 'links']);
  const links = wordOption('links', options.links, ['parent', 'link'], 'parent');
  if (instrumentation.current !== undefined) {
    throw new QueueError('INVALID_OPTION', 'instrument: this process is instrumented already');
  }
  // Not by their types, which projects without OpenTelemetry could not read.
  const tracerProvider = (options.tracerProvider ?? trace) as TracerProvider;
  const meterProvider = (options.meterProvider ?? metrics) as MeterProvider;
  const tracer = tracerProvider.getTracer('millrace');
  const spans = new SendSpans(tracer);
  const measurements = new Measurements(meterProvider.getMeter('millrace'));
  const current = new ProcessSpans(tracer, links === 'parent');
  instrumentation.current = current;
  const ends = [
    onTrace('millrace.send', spans.send),
    onTrace('millrace.request', spans.request),
    onTrace('millrace.send', measurements.send),
    onTrace('millrace.request', measurements.request),
    onTrace('millrace.process', measurements.process),
    onSettled(measurements.settle),
  ];
  return () => {
    for (const end of ends) end();
    if (instrumentation.current === current) instrumentation.current = undefined;
  };
}
