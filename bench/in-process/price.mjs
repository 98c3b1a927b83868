/** The cost of each step of the path of a message: the steps are added one at a time. */
import { tracingChannel } from 'node:diagnostics_channel';
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { z } from 'zod';
import {
  connect,
  createConsumer,
  createMetrics,
  createPage,
  createProducer,
  defineQueue,
  instrument,
} from '../millrace.mjs';
import { orderOf, orderSchema } from '../order.mjs';

const nothing = () => {};

/** A schema that takes everything, so that nothing is validated. */
const unchecked = { '~standard': { version: 1, vendor: 'bench', validate: (value) => ({ value }) } };

const TEXT = JSON.stringify(orderOf(1_000_000));

/** A text that exists already, to a handler that does nothing. */
const BARE = { schema: unchecked, codec: 'text', value: () => TEXT };

/** As long as the others, but for the tags. */
function tagged(id) {
  return { id, at: new Date(id), tags: new Set(['new', 'paid']), text: 'x'.repeat(40) };
}

/** `watch` begins to look at a broker, and returns what ends that. */
const PARTS = {
  nothing: BARE,
  'nothing, once more': BARE,
  'a string schema': { ...BARE, schema: z.string() },
  'the JSON codec': { ...BARE, codec: 'json', value: orderOf },
  'the JSON codec and an object schema': { schema: orderSchema, codec: 'json', value: orderOf },
  'the structured codec': { ...BARE, codec: 'structured', value: orderOf },
  'the structured codec, with a date and a set': { ...BARE, codec: 'structured', value: tagged },
  'a retry of every tenth message': { ...BARE, failEvery: 10 },
  'a handler time limit off': { ...BARE, handlerTimeoutMs: Number.POSITIVE_INFINITY },
  'an empty list of functions around it': { ...BARE, around: [] },
  'a function around it': { ...BARE, around: [(next) => next()] },
  observe: { ...BARE, observe: nothing },
  'a logger': { ...BARE, logger: { info: nothing, warn: nothing, error: nothing } },
  'tracing, with a listener': { ...BARE, watch: listen },
  metrics: {
    ...BARE,
    watch: () => {
      const metrics = createMetrics();
      return () => metrics.stop();
    },
  },
  'OpenTelemetry without an SDK': { ...BARE, watch: () => instrument() },
  'OpenTelemetry, exported to nowhere': { ...BARE, watch: telemetry },
  'the page, watched by nobody': {
    ...BARE,
    watch: (broker) => {
      const page = createPage(broker);
      return () => page.close();
    },
  },
};

function listen() {
  const listeners = { start: nothing, end: nothing, asyncStart: nothing, asyncEnd: nothing, error: nothing };
  const channels = ['millrace.send', 'millrace.process'].map((name) => tracingChannel(name));
  for (const channel of channels) channel.subscribe(listeners);
  return () => {
    for (const channel of channels) channel.unsubscribe(listeners);
  };
}

let providers;

/** Spans and metrics as a program has them, but for the network. The providers stay, as those of a program do. */
function telemetry() {
  providers ??= setUpProviders();
  return instrument(providers);
}

function setUpProviders() {
  const done = async () => {};
  const exporter = {
    export: (_batch, exported) => exported({ code: 0 }),
    forceFlush: done,
    shutdown: done,
  };
  const tracerProvider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] });
  tracerProvider.register();
  const meterProvider = new MeterProvider({ readers: [new PeriodicExportingMetricReader({ exporter })] });
  return { tracerProvider, meterProvider };
}

export async function withPart({ count, part }) {
  const {
    schema,
    codec,
    value,
    observe,
    logger,
    around,
    handlerTimeoutMs,
    watch,
    failEvery = 0,
  } = PARTS[part];
  const broker = await connect('local:', { logger });
  const unwatch = watch?.(broker);
  const queue = defineQueue('orders', schema, { codec });
  let started = 0;
  let handled = 0;
  let finish;
  const all = new Promise((resolve) => {
    finish = resolve;
  });
  const handler = async (_value, { attempt }) => {
    started++;
    if (failEvery > 0 && attempt === 1 && started % failEvery === 0) throw new Error('on purpose');
    if (++handled === count) finish();
  };
  const options = { observe, around, handlerTimeoutMs, retry: { delaysMs: [0] } };
  const consumer = createConsumer(broker, queue, handler, options);
  await consumer.start();
  const producer = createProducer(broker, queue, { around });
  for (let i = 0; i < count; i++) await producer.send(value(i));
  await all;
  await consumer.stop();
  unwatch?.();
  await broker.close();
}
