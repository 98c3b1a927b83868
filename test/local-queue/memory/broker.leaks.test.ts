import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { openMemoryBroker } from '../../../src/local-queue/memory/broker.js';
import { defineQueue } from '../../../src/queue.js';
import { collected } from '../../support/garbage.js';

let broker: Backend;
beforeEach(async () => {
  broker = openMemoryBroker();
  await broker.declare(defineQueue('q', z.unknown(), { deadLetter: false }).spec);
});
afterEach(() => broker.close());

async function publish(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const message = { id: `m${i}`, contentType: '', headers: {}, body: 'x' };
    await broker.publish({ exchange: '', routingKey: 'q' }, message);
  }
}

test('the broker holds nothing of a settled delivery, whatever the verb', async () => {
  await publish(400);
  const references: WeakRef<object>[] = [];
  await broker.subscribe('q', { prefetch: 100 }, (delivery) => {
    if (references.length < 400) references.push(new WeakRef(delivery));
    const verb = references.length % 4;
    if (verb === 0 || delivery.redelivered) delivery.ack();
    else if (verb === 1) delivery.release();
    else if (verb === 2) delivery.retry(0, { code: 'failed', error: 'no' });
    else delivery.deadLetter({ code: 'failed', error: 'no' });
  });
  while ((await broker.inspect('q')).ready > 0) await turn();

  expect(references).toHaveLength(400);
  expect(await collected(references)).toBe(true);
});

test('the broker holds nothing of a subscription that was closed', async () => {
  const references = await (async () => {
    const made: WeakRef<object>[] = [];
    for (let i = 0; i < 100; i++) {
      const subscription = await broker.subscribe('q', { prefetch: 1 }, () => {});
      made.push(new WeakRef(subscription));
      await subscription.close();
    }
    return made;
  })();

  expect(await collected(references)).toBe(true);
  expect((await broker.inspect('q')).consumers).toBe(0);
});
