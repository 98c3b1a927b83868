import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import type { RetryPolicy } from '../../src/consumer/retry-policy.js';
import type { QueueErrorCode } from '../../src/errors.js';
import { openMemoryBroker } from '../../src/local-queue/memory/broker.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { EventLog } from '../support/event-log.js';

const broker = openMemoryBroker();
const queue = defineQueue('q', z.object({ type: z.string() }));
const module = new URL('file:///handler.js');

/** For a caller without a compiler. */
const create = createConsumer as (...args: unknown[]) => unknown;
const refused = (code: QueueErrorCode, text: string) =>
  expect.objectContaining({ code, message: expect.stringContaining(text) });

describe('createConsumer', () => {
  test.each([
    ['no handler', undefined, undefined, 'handler'],
    ['an empty object', {}, undefined, 'by'],
    ['handlers without what tells the type', { handlers: {} }, undefined, 'by'],
    ['a type without handlers', { by: 'type' }, undefined, 'handlers'],
    ['a handler by type that is no function', { by: 'type', handlers: { a: 1 } }, undefined, 'handlers["a"]'],
    ['a misspelt part', { by: 'type', handlers: {}, handler: 1 }, undefined, 'handler'],
    ['a module that is no URL', { module: './handler.js' }, undefined, 'new URL'],
    ['no threads', { module, threads: 0 }, undefined, 'threads'],
    ['half a thread', { module, threads: 1.5 }, undefined, 'threads'],
    ['a negative time', { module, terminateAfterMs: -1 }, undefined, 'terminateAfterMs'],
    ['a concurrency other than the threads', { module, threads: 2 }, { concurrency: 3 }, 'concurrency'],
    ['a key that is no function', () => {}, { key: 'id' }, 'key'],
    ['more retries than can be told', () => {}, { retry: { delaysMs: Array(100_000).fill(0) } }, 'delaysMs'],
  ])('refuses %s', (_case, handler, options, text) => {
    expect(() => create(broker, queue, handler, options)).toThrow(refused('INVALID_OPTION', text));
  });

  test('takes the number of threads for its concurrency', () => {
    expect(create(broker, queue, { module, threads: 2 })).toMatchObject({ state: 'idle' });
    expect(create(broker, queue, { module, threads: 2 }, { concurrency: 2 })).toMatchObject({
      state: 'idle',
    });
  });

  test.each<[string, { retry?: RetryPolicy }, number[]]>([
    ['retries as its queue itself could, unless told otherwise', {}, [10, 20, 25]],
    ['keeps to the policy it is given', { retry: { delaysMs: [5] } }, [5]],
  ])('%s', async (_case, options, delaysMs) => {
    const patient = defineQueue('patient', z.unknown(), { delayedRetry: { minMs: 10, maxMs: 25 } });
    const log = new EventLog();
    const handler = () => Promise.reject(new Error('no'));
    const own = openMemoryBroker();
    const consumer = createConsumer(own, patient, handler, { ...options, observe: log.observe });
    await consumer.start();
    await createProducer(own, patient).send('a');
    await log.until('dead-lettered');
    expect(log.of('retried').map(({ delayMs }) => delayMs)).toEqual(delaysMs);
    await consumer.stop();
    await own.close();
  });
});
