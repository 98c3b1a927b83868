/**
 * A program whose consumer is stopped while a message waits a minute for its next attempt. Prints `alive` when the
 * consumer has kept it alive until then.
 */
import { connect, createConsumer, createProducer, defineQueue } from 'millrace';
import { z } from 'zod';

const queue = defineQueue('numbers', z.number());
const broker = await connect('local:');
const consumer = createConsumer(
  broker,
  queue,
  () => {
    throw new Error('not yet');
  },
  { retry: { delaysMs: [60_000] } },
);
await consumer.start();
await createProducer(broker, queue).send(1);
setTimeout(async () => {
  console.log('alive', consumer.counts.retried);
  await consumer.stop();
}, 200).unref();
