import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { createRequester } from '../../src/producer/requester.js';
import { defineQueue } from '../../src/queue.js';
import { eventually } from '../support/eventually.js';
import { collected } from '../support/garbage.js';
import { rejection } from '../support/rejection.js';

const broker = openMemoryBroker();
const queue = defineQueue('q', z.number());

/** For a caller without a compiler. */
const create = createRequester as (...args: unknown[]) => { request(...args: unknown[]): Promise<unknown> };

describe('createRequester', () => {
  test.each([
    ['no options', undefined],
    ['no schema for the reply', {}],
    ['a schema that is none', { reply: 'number' }],
    ['a time limit that is none', { reply: z.number(), timeoutMs: 'soon' }],
    ['a misspelt option', { reply: z.number(), timeout: 1 }],
  ])('refuses %s', (_case, options) => {
    expect(() => create(broker, queue, options)).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }));
  });

  test.each([
    ['a misspelt option', { timeout: 1 }],
    ['a correlation id, which is its own', { correlationId: 'c1' }],
    ['a signal that is none', { signal: {} }],
    ['a time limit that is none', { timeoutMs: -1 }],
    ['a reserved header', { headers: { 'x-millrace-attempt': '7' } }],
  ])('request refuses %s', async (_case, options) => {
    await rejection(create(broker, queue, { reply: z.number() }).request(1, options), 'INVALID_OPTION');
  });
});

test('a request that was answered leaves nothing behind: neither its call nor a listener', async () => {
  const consumer = createConsumer(broker, queue, (n) => n + 1);
  await consumer.start();
  const requester = createRequester(broker, queue, { reply: z.number() });
  const signalOfRequest = async () => {
    const { signal } = new AbortController();
    expect(await requester.request(1, { signal })).toBe(2);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    return new WeakRef(signal);
  };
  const reference = await signalOfRequest();
  expect(await eventually(() => collected([reference]))).toBe(true);
  await requester.close();
  await consumer.stop();
});
