import { join } from 'node:path';
import Database from 'better-sqlite3';
import { better, defineQueue, defineWorker, JobStatus } from 'plainjob';
import { orderOf } from '../../order.mjs';
import { inBatches } from '../window.mjs';

const logger = { debug() {}, info() {}, warn() {}, error() {} };

/** SQLite in this process, as plainjob sets it up. A worker handles one job at a time. */
export async function open({ place, queue: type, size }) {
  const queue = defineQueue({ connection: better(new Database(join(place, `${type}.db`))), logger });
  const order = () => orderOf(1_000_000, size);
  return {
    publishAll: (count) =>
      inBatches(count, async (some) => queue.addMany(type, Array.from({ length: some }, order))),
    send: async () => queue.add(type, order()),
    async consume(onMessage) {
      const options = { queue, logger, pollIntervall: 1 };
      const worker = defineWorker(
        type,
        (job) => {
          JSON.parse(job.data);
          onMessage();
        },
        options,
      );
      const running = worker.start();
      return async () => {
        await worker.stop();
        await running;
      };
    },
    countLeft: async () =>
      queue.countJobs({ type, status: JobStatus.Pending }) +
      queue.countJobs({ type, status: JobStatus.Processing }),
    close: async () => queue.close(),
  };
}
