import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Broker } from '../../src/broker.js';
import { connect } from '../../src/connect.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { RejectMessage } from '../../src/errors.js';
import { instrument } from '../../src/otel/index.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { eventually } from '../support/eventually.js';
import { rejection } from '../support/rejection.js';
import { recordWarnings } from '../support/warnings.js';

let broker: Broker | undefined;
afterEach(() => broker?.close());

test('messages are measured under the names of the conventions', async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const meterProvider = new MeterProvider({ readers: [reader] });
  onTestFinished(() => meterProvider.shutdown());
  onTestFinished(instrument({ meterProvider }));
  broker = await connect('local:');
  const orders = defineQueue('orders', z.string());
  const consumer = createConsumer(
    broker,
    orders,
    (value) => {
      if (value === 'bad') throw new RejectMessage('bad');
      if (value === 'worse') throw new TypeError('worse');
    },
    { retry: { delaysMs: [0] }, observe: () => {} },
  );
  await consumer.start();
  const producer = createProducer(broker, orders);
  await producer.sendMany(['good', 'bad', 'worse']);
  await rejection(producer.send(5 as unknown as string), 'INVALID_MESSAGE');
  await eventually(() => consumer.counts.deadLettered === 2);
  await consumer.stop();
  await reader.forceFlush();
  const metrics = exporter.getMetrics().at(-1)?.scopeMetrics[0]?.metrics ?? [];
  /** The values of a metric's series that have these attributes; of a histogram, how many it has recorded. */
  const values = (name: string, attributes: Record<string, unknown>) =>
    (metrics.find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? [])
      .filter((point) => Object.entries(attributes).every(([key, value]) => point.attributes[key] === value))
      .map(({ value }) => (typeof value === 'number' ? value : value.count));
  const here = { 'messaging.system': 'millrace', 'messaging.destination.name': 'orders' };
  const send = { ...here, 'messaging.operation.name': 'send', 'error.type': undefined };
  expect(values('messaging.client.sent.messages', send)).toEqual([3]);
  expect(values('messaging.client.sent.messages', { 'error.type': 'INVALID_MESSAGE' })).toEqual([1]);
  expect(values('messaging.client.operation.duration', send)).toEqual([3]);
  expect(values('messaging.client.consumed.messages', here)).toEqual([4]);
  expect(values('messaging.process.duration', { ...here, 'error.type': 'TypeError' })).toEqual([2]);
  expect(values('millrace.retries', here)).toEqual([1]);
  expect(values('millrace.dead_letters', { 'millrace.reason': 'rejected' })).toEqual([1]);
  expect(values('millrace.handler.in_flight', here)).toEqual([0]);
});

test('a process is instrumented once', () => {
  const end = instrument();
  expect(() => instrument()).toThrow('instrumented already');
  end();
  instrument()();
  expect(() => instrument({ links: 'both' as 'link' })).toThrow("links: expected 'parent' or 'link'");
});

test('a tracer and a meter that throw are one process warning, and messages are sent and handled', async () => {
  const warnings = recordWarnings('MILLRACE_TELEMETRY');
  const fail = () => {
    throw new Error('no exporter');
  };
  const failing = { add: fail, record: fail };
  const made = () => failing;
  const meter = { createCounter: made, createHistogram: made, createUpDownCounter: made };
  const end = instrument({
    tracerProvider: { getTracer: () => ({ startSpan: fail }) },
    meterProvider: { getMeter: () => meter },
  });
  onTestFinished(end);
  broker = await connect('local:');
  const orders = defineQueue('orders', z.string());
  const consumer = createConsumer(broker, orders, () => {});
  await consumer.start();
  await createProducer(broker, orders).send('x');
  await eventually(() => consumer.counts.handled === 1);
  await consumer.stop();
  await eventually(() => warnings.length > 0);
  expect(warnings).toMatchObject([{ code: 'MILLRACE_TELEMETRY' }]);
  expect(warnings[0]?.message).toContain('no exporter');
  expect(consumer.counts).toMatchObject({ handled: 1, retried: 0 });
});
