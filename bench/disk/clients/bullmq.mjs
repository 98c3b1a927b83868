import { Queue, Worker } from 'bullmq';
import { orderOf } from '../../order.mjs';
import { CONCURRENCY, inBatches } from '../window.mjs';

/** Jobs are removed when they are done, as a message is; otherwise Redis would hold each of them in memory. */
const defaultJobOptions = { removeOnComplete: true };

export async function open({ place, queue: name, size }) {
  const connection = { host: '127.0.0.1', port: place, maxRetriesPerRequest: null };
  const queue = new Queue(name, { connection, defaultJobOptions });
  await queue.waitUntilReady();
  const job = () => ({ name: 'order', data: orderOf(1_000_000, size) });
  return {
    publishAll: (count) => inBatches(count, (some) => queue.addBulk(Array.from({ length: some }, job))),
    send: () => queue.add('order', orderOf(1_000_000, size)),
    async consume(onMessage) {
      const worker = new Worker(name, async () => onMessage(), { connection, concurrency: CONCURRENCY });
      worker.on('error', () => {});
      await worker.waitUntilReady();
      return () => worker.close();
    },
    countLeft: () => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed'),
    async close() {
      await queue.obliterate({ force: true });
      await queue.close();
    },
  };
}
