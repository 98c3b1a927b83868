import { setTimeout as delay } from 'node:timers/promises';
import PgBoss from 'pg-boss';
import { orderOf } from '../../order.mjs';
import { inBatches, WINDOW } from '../window.mjs';

/** PostgreSQL as it is set up: each transaction is flushed. */
export async function open({ place, queue, size }) {
  const boss = new PgBoss({ connectionString: place, supervise: false, schedule: false });
  boss.on('error', () => {});
  await boss.start();
  await boss.createQueue(queue);
  const job = () => ({ name: queue, data: orderOf(1_000_000, size) });
  const countLeft = () => boss.getQueueSize(queue, { before: 'completed' });
  return {
    publishAll: (count) => inBatches(count, (some) => boss.insert(Array.from({ length: some }, job))),
    send: () => boss.send(queue, orderOf(1_000_000, size)),
    async consume(onMessage) {
      // It polls, and takes a list each time.
      const options = { batchSize: WINDOW, pollingIntervalSeconds: 0.5 };
      await boss.work(queue, options, async (jobs) => {
        for (const _ of jobs) onMessage();
      });
      return async () => {
        await boss.offWork(queue);
        // It does not wait until the last list is marked as done.
        const deadline = performance.now() + 10_000;
        while ((await countLeft()) > 0 && performance.now() < deadline) await delay(20);
      };
    },
    countLeft,
    async close() {
      await boss.stop({ graceful: false });
    },
  };
}
