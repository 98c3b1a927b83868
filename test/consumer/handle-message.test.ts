import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Delivery } from '../../src/broker.js';
import { newMessage } from '../../src/common/message/create-and-check.js';
import { Deferred } from '../../src/common/waiting/waiting.js';
import { decodeInTime, type HandlingSettings } from '../../src/consumer/handle-message.js';
import type { Decoded } from '../../src/consumer/settlement.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const message = newMessage({ contentType: 'text/plain', body: 'x' });
const delivery = { message, attempt: 1, redelivered: false } as Delivery;

/** Begins to decode, and returns the warnings that are emitted meanwhile. */
function decoding(isWanted = true) {
  const slow: number[] = [];
  const report = { isObserved: true, slow: (_: Delivery, __: string, leftMs: number) => slow.push(leftMs) };
  const settings = { queue: 'orders', handlerTimeoutMs: 1000, report } as unknown as HandlingSettings<string>;
  const value = new Deferred<Decoded<string>>();
  const decoded = decodeInTime(delivery, value.promise, settings, () => isWanted);
  return { value, decoded, slow };
}

test('a value that is decoded ahead in time leaves no timer', async () => {
  const { value, decoded, slow } = decoding();
  value.resolve({ ok: true, value: 'x' });
  expect(await decoded).toEqual({ ok: true, value: 'x' });
  expect(vi.getTimerCount()).toBe(0);
  expect(slow).toEqual([]);
});

test('a schema that takes too long ahead of a handler is a warning, and then a failed attempt', async () => {
  const { decoded, slow } = decoding();
  vi.advanceTimersByTime(800);
  expect(slow).toEqual([200]);
  vi.advanceTimersByTime(200);
  expect(await decoded).toMatchObject({ ok: false, outcome: { type: 'failed', error: { code: 'TIMEOUT' } } });
  expect(vi.getTimerCount()).toBe(0);
});

test('a message that was lost while it was decoded is no reason to warn', () => {
  const { slow } = decoding(false);
  vi.advanceTimersByTime(2000);
  expect(slow).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
