// Handles the messages of a queue at a rate that all processes share, and prints when each handler began.
// Arguments: address, queue, limit, milliseconds, and 'keyed' for a rate for each first letter.
import { connect, createConsumer, defineQueue } from 'millrace';

const [address, name, limit, perMs, keyed] = process.argv.slice(2);
const text = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
const broker = await connect(address);
const consumer = createConsumer(
  broker,
  defineQueue(name, text),
  (value, { id }) => {
    // One clock for all processes.
    console.log(`${process.hrtime.bigint() / 1000n} ${value} ${id}`);
  },
  {
    concurrency: 4,
    rate: {
      limit: Number(limit),
      perMs: Number(perMs),
      per: 'queue',
      ...(keyed === 'keyed' && { key: (value) => value[0] }),
    },
  },
);
await consumer.start();
process.on('SIGTERM', async () => {
  await consumer.stop();
  await broker.close();
});
