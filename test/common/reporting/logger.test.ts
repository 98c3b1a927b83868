import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import type { Broker } from '../../../src/broker.js';
import { operatorOf } from '../../../src/common/backend-of.js';
import { brokerObserver, emitWarning } from '../../../src/common/reporting/logger.js';
import { type ConnectOptions, connect } from '../../../src/connect.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { receive } from '../../../src/consumer/receive.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';

type Line = readonly [level: string, fields: Record<string, unknown>, text: string];

let broker: Broker | undefined;
afterEach(() => broker?.close());

/** As pino is called: its methods need their object. */
class Lines {
  readonly all: Line[] = [];
  info(fields: object, text: string) {
    this.all.push(['info', fields as Line[1], text]);
  }
  warn(fields: object, text: string) {
    this.all.push(['warn', fields as Line[1], text]);
  }
  error(fields: object, text: string) {
    this.all.push(['error', fields as Line[1], text]);
  }
}

const queue = defineQueue('orders', z.string());

async function failing(options: ConnectOptions, observe?: EventLog) {
  broker = await connect('local:', options);
  const consumer = createConsumer(broker, queue, () => Promise.reject(new Error('no paper')), {
    retry: { delaysMs: [0] },
    observe: observe?.observe,
  });
  await consumer.start();
  await createProducer(broker, queue).send('x', { id: 'm-1' });
  await eventually(() => consumer.counts.deadLettered === 1);
  await consumer.stop();
}

test('a logger is called with an object and a text for the events of consumers', async () => {
  const lines = new Lines();
  await failing({ logger: lines });
  expect(lines.all).toMatchObject(
    [
      ['warn', { event: 'retried', queue: 'orders', id: 'm-1', attempt: 1, delayMs: 0 }, /attempt 1 failed/],
      ['error', { event: 'dead-lettered', id: 'm-1', attempt: 2, reason: 'failed' }, /dead-lettered/],
    ].map(([level, fields, text]) => [level, fields, expect.stringMatching(text as RegExp)]),
  );
  expect(lines.all[0]?.[1].err).toEqual(new Error('no paper'));
});

test('a console gets a text for people, with the stack of what a handler threw', async () => {
  const printed: unknown[][] = [];
  for (const level of ['warn', 'error'] as const)
    vi.spyOn(console, level).mockImplementation((...args: unknown[]) => void printed.push(args));
  onTestFinished(() => void vi.restoreAllMocks());
  await failing({ logger: console });
  expect(printed).toEqual([
    [
      expect.stringMatching(
        /^'orders': message m-1: attempt 1 failed \(no paper\); retrying in 0 ms\nError: no paper\n +at /,
      ),
    ],
    [expect.stringMatching(/^'orders': message m-1: dead-lettered .*no paper\nError: no paper\n +at /)],
  ]);
});

test('an observer and a logger both learn of everything', async () => {
  const lines = new Lines();
  const log = new EventLog();
  await failing({ logger: lines }, log);
  expect(log.of('dead-lettered')).toHaveLength(1);
  expect(lines.all).toHaveLength(2);
});

test('a logger whose methods reject changes nothing', async () => {
  const unhandled: unknown[] = [];
  const listen = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', listen);
  const fail = () => Promise.reject(new Error('disk full'));
  await failing({ logger: { info: fail, warn: fail, error: fail } });
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', listen);
  expect(unhandled).toEqual([]);
});

test('a logger that throws changes nothing', async () => {
  const fail = () => {
    throw new Error('disk full');
  };
  await failing({ logger: { info: fail, warn: fail, error: fail } });
});

test('a loop reports the messages that it never shows, since they can not be read', async () => {
  const lines = new Lines();
  broker = await connect('local:', { logger: lines });
  await createProducer(broker, defineQueue('orders', z.number())).send(1, { id: 'm-1' });
  const loop = receive(broker, queue)[Symbol.asyncIterator]();
  const next = loop.next();
  await eventually(() => lines.all.length > 0);
  expect(lines.all[0]?.slice(0, 2)).toMatchObject([
    'error',
    { event: 'dead-lettered', id: 'm-1', reason: 'invalid' },
  ]);
  await loop.return?.();
  expect(await next).toMatchObject({ done: true });
});

test('a loop reports the messages that it never shows, since they have expired', async () => {
  const dropping = defineQueue('offers', z.string(), { onExpired: 'drop' });
  const lines = new Lines();
  broker = await connect('local:', { logger: lines });
  const producer = createProducer(broker, dropping);
  await producer.send('first');
  await producer.send('late', { id: 'm-1', expiresInMs: 60_000 });
  const loop = receive(broker, dropping, { prefetch: 2 })[Symbol.asyncIterator]();
  await loop.next();
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 61_000 });
  onTestFinished(() => void vi.useRealTimers());
  const next = loop.next();
  await eventually(() => lines.all.length > 0);
  expect(lines.all).toMatchObject([
    ['warn', { event: 'expired', id: 'm-1', attempt: 1 }, expect.any(String)],
  ]);
  await loop.return?.();
  expect(await next).toMatchObject({ done: true });
});

test('an outage is one warning after ten seconds, and so is one that is given up', async () => {
  const warnings = recordWarnings('MILLRACE_DISCONNECTED', 'MILLRACE_UNSUBSCRIBED');
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  onTestFinished(() => clock.mockRestore());
  const emit = brokerObserver(undefined, undefined);
  const lose = (at: number, retryInMs: number | undefined = 500) => {
    now = at;
    emit({ type: 'disconnected', connection: 'consume', reason: new Error(`reset at ${at}`), retryInMs });
  };
  for (const at of [0, 5_000, 9_999, 10_000, 20_000, 40_000]) lose(at);
  emit({ type: 'connected', connection: 'consume', url: 'amqp://mill' });
  for (const at of [50_000, 59_999]) lose(at);
  emit({ type: 'connected', connection: 'consume', url: 'amqp://mill' });
  for (const at of [70_000, 80_000]) lose(at);
  now = 81_000;
  emit({ type: 'disconnected', connection: 'consume', reason: new Error('over'), retryInMs: undefined });
  emit({ type: 'unsubscribed', queue: 'orders', reason: new Error('no permission'), retryInMs: 500 });
  emit({ type: 'unsubscribed', queue: 'orders', reason: new Error('no permission'), retryInMs: 500 });
  await new Promise(setImmediate);
  expect(warnings.map(({ message }) => message)).toEqual([
    'connection lost (consume): reset at 10000; reconnecting in 500 ms',
    'connection lost (consume): reset at 80000; reconnecting in 500 ms',
    'connection lost (consume): over; giving up',
    "subscription to 'orders' lost: no permission; retrying in 500 ms",
  ]);
});

test('refuses values that are not loggers', async () => {
  const logger = { info: () => {} } as unknown as Lines;
  const error = await rejection(connect('local:', { logger }), 'INVALID_OPTION');
  expect(error.message).toContain('info, warn and error; it has no warn, error');
});

test('a broker without a logger or an observer warns once in ten seconds of each kind, however many there are', async () => {
  const warnings = recordWarnings('MILLRACE_DEAD_LETTER', 'MILLRACE_SETTLE_FAILED');
  const observe = brokerObserver(undefined, undefined);
  const failure = { code: 'undecodable', error: 'no JSON' } as const;
  for (const id of ['1', '2', '3']) {
    observe({ type: 'dead-lettered', queue: 'orders', id, failure });
    observe({ type: 'settle-failed', queue: 'orders', id, error: new Error('away') });
  }
  await new Promise(setImmediate);
  expect(warnings.map(({ code }) => code)).toEqual(['MILLRACE_DEAD_LETTER', 'MILLRACE_SETTLE_FAILED']);
});

test('a consumer of a queue that an operator has paused is a process warning, for each queue', async () => {
  const warnings = recordWarnings('MILLRACE_PAUSED');
  broker = await connect('local:');
  for (const name of ['orders', 'bills', 'orders']) {
    const paused = defineQueue(name, z.string());
    await createProducer(broker, paused).send('x');
    await operatorOf(broker).pause(name);
    await createConsumer(broker, paused, () => {}).start();
  }
  await new Promise(setImmediate);
  expect(warnings.map(({ code, message }) => [code, message.split(':', 1)[0]])).toEqual([
    ['MILLRACE_PAUSED', "'orders' is paused"],
    ['MILLRACE_PAUSED', "'bills' is paused"],
  ]);
});

test('a process warning shows the first lines of a stack only', async () => {
  const warnings = recordWarnings('MILLRACE_TELEMETRY');
  const error = new Error('deep');
  error.stack = Array.from({ length: 50 }, (_, line) => `at ${line}`).join('\n');
  emitWarning('MILLRACE_TELEMETRY', 'it failed', error);
  await new Promise(setImmediate);
  expect(warnings[0]?.detail?.split('\n')).toHaveLength(12);
});
