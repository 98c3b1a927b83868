/** OpenTelemetry in a child of draw-trace.mjs: each span goes to the parent as soon as it has ended. */
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { instrument } from '../../dist/otel/index.js';

const nanoseconds = ([seconds, rest]) => BigInt(seconds) * 1_000_000_000n + BigInt(rest);

const exporter = {
  export(spans, exported) {
    for (const span of spans) {
      process.send({
        service: process.argv[2],
        name: span.name,
        id: span.spanContext().spanId,
        parent: span.parentSpanContext?.spanId,
        trace: span.spanContext().traceId,
        start: String(nanoseconds(span.startTime)),
        end: String(nanoseconds(span.endTime)),
        attempt: span.attributes['millrace.attempt'],
        error: span.status.message,
      });
    }
    exported({ code: 0 });
  },
  forceFlush: async () => {},
  shutdown: async () => {},
};

new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register();
instrument();
