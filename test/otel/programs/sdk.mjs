// Sets OpenTelemetry up in a thread, with the SDK of the folder that SDK_FOLDER names, to export to OTLP_URL.
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.SDK_FOLDER}/package.json`);
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
const { resourceFromAttributes } = require('@opentelemetry/resources');

export const api = require('@opentelemetry/api');

export function setUp(service) {
  const resource = resourceFromAttributes({ 'service.name': service });
  const exporter = new OTLPTraceExporter({ url: process.env.OTLP_URL });
  return process.env.SDK_LINE === '3' ? third(resource, exporter) : second(resource, exporter);
}

function second(resource, exporter) {
  const { NodeTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-node');
  const provider = new NodeTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(exporter)] });
  provider.register();
  return provider;
}

function third(resource, exporter) {
  const { TracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace');
  const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
  const { W3CTraceContextPropagator } = require('@opentelemetry/core');
  const provider = new TracerProvider({ resource, spanProcessors: [new BatchSpanProcessor({ exporter })] });
  api.trace.setGlobalTracerProvider(provider);
  api.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  api.propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  return provider;
}
