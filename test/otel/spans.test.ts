import { propagation, type TextMapPropagator, trace } from '@opentelemetry/api';
import { afterEach, expect, test } from 'vitest';
import { ProcessSpans } from '../../src/otel/spans.js';

afterEach(() => propagation.disable());

const broken: TextMapPropagator = {
  inject: () => {
    throw new Error('a broken propagator');
  },
  extract: () => {
    throw new Error('a broken propagator');
  },
  fields: () => [],
};

test('a propagator that throws fails no handler, nor the way of its context into a thread', async () => {
  propagation.setGlobalPropagator(broken);
  const spans = new ProcessSpans(trace.getTracer('test'), true);
  const carried = spans.carry();
  expect(carried).toEqual({});
  expect(spans.resume({ traceparent: 'any' }, () => 'handled')).toBe('handled');
  const failing = () => {
    throw new Error('of the handler');
  };
  expect(() => spans.resume(carried, failing)).toThrow('of the handler');
  const message = {
    id: 'm',
    queue: 'q',
    url: 'local:',
    exchange: '',
    routingKey: 'q',
    headers: {},
    attempt: 1,
  };
  const processed = { ...message, redelivered: false, timestamp: undefined, correlationId: undefined };
  expect(await spans.handle(async () => 'handled', processed)).toBe('handled');
});
