/** How much a process grows that stores so many delayed messages in a folder, and then waits for them with a consumer. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, createConsumer, createProducer, defineQueue } from '../millrace.mjs';
import { orderSchema, orders } from '../order.mjs';
import { stopwatch } from '../stopwatch.mjs';

export const timesItself = true;

const HOUR_MS = 3_600_000;

export async function delayed({ place, count }) {
  const broker = await connect(`local:${join(place, randomUUID())}`);
  const queue = defineQueue('later', orderSchema, { capacity: Number.POSITIVE_INFINITY, deadLetter: false });
  const producer = createProducer(broker, queue);
  // What V8 and SQLite need for any number.
  await producer.sendMany(orders(10_000, 100), { delayMs: HOUR_MS });
  const startBytes = process.memoryUsage.rss();
  let peakBytes = startBytes;
  const watching = setInterval(() => {
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
  }, 20);
  const stopWatch = stopwatch(count);
  // Spread over a day, in no order.
  await producer.sendMany(orders(count, 100), {
    each: (_order, index) => ({ delayMs: HOUR_MS + ((index * 7919) % 86_400) * 1000 }),
  });
  const figures = stopWatch();
  const consumer = createConsumer(broker, queue, () => {}, { concurrency: 10 });
  await consumer.start();
  await producer.sendMany(orders(100, 100), { delayMs: 200 });
  while (consumer.counts.handled < 100) await delay(20);
  await consumer.stop();
  clearInterval(watching);
  await broker.remove(queue.name);
  await broker.close();
  return { ...figures, peakGrowthBytes: peakBytes - startBytes };
}
