import { expect, test } from 'vitest';
import { BatchEntry, handleBatch } from '../../src/batches/batch.js';
import type { Delivery } from '../../src/broker.js';
import { newMessage } from '../../src/common/message/create-and-check.js';
import { Context, HandlerRun } from '../../src/consumer/handler-run.js';

function entry(value: string): BatchEntry<string> {
  const message = newMessage({ contentType: 'text/plain', body: value });
  const delivery = { message, attempt: 2, redelivered: true } as Delivery;
  return new BatchEntry(value, new Context(new HandlerRun(delivery), 'orders'));
}

test('a message that is lost while its batch is handled is in none of the halves', async () => {
  const entries = ['a', 'b', 'c', 'd'].map(entry);
  const calls: string[][] = [];
  await handleBatch(entries, {
    queue: 'orders',
    broker: { url: 'local:' },
    handlerTimeoutMs: Number.POSITIVE_INFINITY,
    handler: (batch) => {
      calls.push(batch.map(({ value }) => value));
      if (calls.length > 1) return;
      entries[1]?.run.abandon(new Error('the connection was lost'));
      throw new Error('all or nothing');
    },
  });
  expect(calls).toEqual([['a', 'b', 'c', 'd'], ['a'], ['c', 'd']]);
  await Promise.all(entries.map(({ outcome }) => outcome.promise));
});
