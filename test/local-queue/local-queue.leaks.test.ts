import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { LocalQueue } from '../../src/local-queue/local-queue.js';
import { collected } from '../support/garbage.js';
import { rejection } from '../support/rejection.js';
import { recordWarnings } from '../support/warnings.js';

describe('a queue holds nothing of', () => {
  const orders = ['fifo', 'lifo', { priority: () => 1 }] as const;

  test.each(orders)('an item that was taken (order %j)', async (order) => {
    const queue = new LocalQueue<object>({ order });
    const references = await (async () => {
      const items = Array.from({ length: 600 }, () => ({}));
      for (const item of items) queue.tryPut(item);
      for (const _ of items) queue.tryTake();
      return items.map((item) => new WeakRef(item));
    })();

    expect(await collected(references)).toBe(true);
    expect(queue.size).toBe(0);
  });

  test.each(orders)('items that were dropped (order %j)', async (order) => {
    const queue = new LocalQueue<object>({ order });
    const references = await (async () => {
      const items = Array.from({ length: 600 }, () => ({}));
      for (const item of items) queue.tryPut(item);
      return items.map((item) => new WeakRef(item));
    })();
    expect(queue.close({ discard: true })).toBe(600);

    expect(await collected(references)).toBe(true);
    expect(queue.size).toBe(0);
  });

  test('an item whose put was aborted or timed out', async () => {
    const queue = new LocalQueue<object>({ capacity: 1 });
    queue.tryPut({});
    const controller = new AbortController();
    const references = await (async () => {
      const items = [{}, {}] as const;
      const puts = [
        queue.put(items[0], { signal: controller.signal }),
        queue.put(items[1], { timeoutMs: 1 }),
      ] as const;
      controller.abort();
      await rejection(puts[0], 'ABORTED');
      await rejection(puts[1], 'TIMEOUT');
      return items.map((item) => new WeakRef(item));
    })();

    expect(await collected(references)).toBe(true);
    expect(queue.size).toBe(1);
  });
});

test('the collector would find an item that is still in the queue', async () => {
  const queue = new LocalQueue<object>();
  const reference = (() => {
    const item = {};
    queue.tryPut(item);
    return new WeakRef(item);
  })();

  expect(await collected([reference])).toBe(false);
  expect(queue.size).toBe(1);
});

test('a thousand waits under one signal share one listener, and leave none', async () => {
  const warnings = recordWarnings();
  const queue = new LocalQueue<number>();
  const { signal } = new AbortController();
  const takes = Array.from({ length: 1000 }, () => queue.take({ signal }));
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);

  for (let i = 0; i < 1000; i++) queue.tryPut(i);
  await Promise.all(takes);
  await turn();
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  expect(warnings).toEqual([]);
});

test('the abort of a shared signal ends all waits under it, in the order of their arrival', async () => {
  const queue = new LocalQueue<number>();
  const controller = new AbortController();
  const ended: number[] = [];
  const takes = [0, 1, 2].map((i) =>
    rejection(queue.take({ signal: controller.signal }), 'ABORTED').then(() => ended.push(i)),
  );
  controller.abort();
  await Promise.all(takes);

  expect(ended).toEqual([0, 1, 2]);
});

test('a wait that has ended leaves no timer that would keep the process alive', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const queue = new LocalQueue<number>();
  const take = queue.take({ timeoutMs: 60_000 });
  expect(timers()).toBe(before + 1);

  queue.tryPut(1);
  await take;
  expect(timers()).toBe(before);
});
