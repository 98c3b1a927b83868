import { expect, test } from 'vitest';
import { brokerEventLine, showDuration } from '../../../src/common/reporting/event-line.js';
import { consumerEventLine } from '../../../src/consumer/event-line.js';

const info = { queue: 'q', id: 'm-1', attempt: 2, redelivered: false };
const failure = { code: 'failed', error: 'no paper' } as const;

test('a lost connection says why, and when the next try is', () => {
  const line = brokerEventLine({
    type: 'disconnected',
    connection: 'consume',
    reason: new Error('socket closed'),
    retryInMs: 1500,
  });
  expect(line).toMatchObject({ event: 'disconnected', level: 'warn' });
  expect(line.text).toContain('socket closed');
  expect(line.text).toContain('1.5 s');
  expect(line.fields).toEqual({ connection: 'consume', reason: 'socket closed', retryInMs: 1500 });
});

test('a connection that is given up reports it', () => {
  const reason = new Error('x');
  const line = brokerEventLine({ type: 'disconnected', connection: 'publish', reason, retryInMs: undefined });
  expect(line.text).toContain('giving up');
});

test('a retry names the message, the attempt, the reason and the wait', () => {
  const line = consumerEventLine({ type: 'retried', ...info, failure, delayMs: 10_000 });
  expect(line?.text).toBe('message m-1: attempt 2 failed (no paper); retrying in 10 s');
  expect(line?.fields).toMatchObject({
    queue: 'q',
    id: 'm-1',
    attempt: 2,
    error: 'no paper',
    delayMs: 10_000,
  });
});

test('a dead letter names its reason', () => {
  const line = consumerEventLine({ type: 'dead-lettered', ...info, failure });
  expect(line?.text).toContain('failed: no paper');
  expect(line?.fields).toMatchObject({ reason: 'failed', error: 'no paper' });
});

test('what went well needs no line', () => {
  expect(consumerEventLine({ type: 'handled', ...info })).toBeUndefined();
  expect(consumerEventLine({ type: 'released', ...info })).toBeUndefined();
});

test('a handler that takes long is a warning that says what comes of it', () => {
  const slow = { type: 'slow', ...info, leftMs: 200.4 } as const;
  expect(consumerEventLine({ ...slow, limit: 'handler' })?.text).toMatch(/slow.*fails in 200 ms/);
  expect(consumerEventLine({ ...slow, limit: 'broker' })?.text).toMatch(/slow.*broker redelivers it/);
});

test('all lines can be written as JSON', () => {
  const line = consumerEventLine({ type: 'lost', ...info, error: new Error('gone') });
  expect(JSON.parse(JSON.stringify(line?.fields))).toMatchObject({ error: 'gone' });
});

test('durations are shown in the unit that fits', () => {
  expect([0, 999, 1000, 1500, 59_940, 60_000, 90_000].map(showDuration)).toEqual([
    '0 ms',
    '999 ms',
    '1 s',
    '1.5 s',
    '59.9 s',
    '1 min',
    '1.5 min',
  ]);
});
