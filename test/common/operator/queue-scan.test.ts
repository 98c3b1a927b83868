import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { QueueScan } from '../../../src/common/operator/queue-scan.js';
import { openMemoryBroker } from '../../../src/local-queue/memory/broker.js';
import { defineQueue } from '../../../src/queue.js';

const MIB = 1024 * 1024;

/** A scan of two messages of that size, which takes one at a time. */
async function scanOf(bytes: number): Promise<QueueScan> {
  const broker = openMemoryBroker({ maxMessageBytes: 64 * MIB });
  await broker.declare(defineQueue('q', z.unknown()).spec);
  const message = { contentType: '', headers: {}, body: Buffer.alloc(bytes) };
  for (const id of ['a', 'b']) await broker.publish({ exchange: '', routingKey: 'q' }, { id, ...message });
  const scan = await QueueScan.begin(broker, 'q', {}, 1);
  onTestFinished(async () => {
    await scan.end();
    await broker.close();
  });
  return scan;
}

test('what a scan holds is bounded, with the body that the backend keeps', async () => {
  const scan = await scanOf(22 * MIB);
  expect((await scan.next())?.message.id).toBe('a');
  expect(await scan.next()).toBeUndefined();
});

test('messages that are larger than the bound are read one at a time', async () => {
  const scan = await scanOf(33 * MIB);
  const first = await scan.next();
  expect(await scan.next()).toBeUndefined();
  if (first !== undefined) scan.remove(first);
  expect((await scan.next())?.message.id).toBe('b');
});
