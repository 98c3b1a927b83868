/** Consumes batches: writes a line with the ids of each; then does as it is told, `hang` or `handle`. */
import { connect, createBatchConsumer, defineQueue } from 'millrace';
import { z } from 'zod';

const [address, name, mode] = process.argv.slice(2);
const broker = await connect(address);
const queue = defineQueue(name, z.string());
const consumer = createBatchConsumer(
  broker,
  queue,
  (batch) => {
    console.log(
      JSON.stringify(batch.map(({ value, attempt, redelivered }) => ({ value, attempt, redelivered }))),
    );
    return mode === 'hang' ? new Promise(() => {}) : undefined;
  },
  { size: 10, waitMs: 100 },
);
await consumer.start();
