import { context, propagation, type TextMapPropagator, trace } from '@opentelemetry/api';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { afterEach, expect, test } from 'vitest';
import type { HeaderValue } from '../../src/broker.js';
import { ProcessSpans, SendSpans } from '../../src/otel/spans.js';
import { recordWarnings } from '../support/warnings.js';

afterEach(() => {
  for (const api of [context, propagation, trace]) api.disable();
});

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
  recordWarnings('MILLRACE_TELEMETRY');
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

test('a message carries the trace and the baggage, and the sender may set each of them itself', () => {
  const provider = new NodeTracerProvider();
  provider.register();
  const { send } = new SendSpans(provider.getTracer('test'));
  const baggage = propagation.createBaggage({ tenant: { value: 'mill' } });
  const sent = (headers: Record<string, HeaderValue>) => {
    const to = { id: 'm', queue: 'q', url: 'local:', exchange: '', routingKey: 'q' };
    const start = () => send.start({ ...to, verb: 'send', headers });
    context.with(propagation.setBaggage(context.active(), baggage), start);
    return headers;
  };
  const traceparent = expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(sent({})).toEqual({ traceparent, baggage: 'tenant=mill' });
  expect(sent({ baggage: 'own=1' })).toEqual({ traceparent, baggage: 'own=1' });
  expect(sent({ traceparent: 'own' })).toEqual({ traceparent: 'own', baggage: 'tenant=mill' });
});
