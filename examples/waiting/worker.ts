/** A worker process: runs five tasks at once, until the program that started it disconnects. */
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { connect, createConsumer } from 'millrace';
import { tasksIn, wait } from './tasks.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:./waiting-data' },
    prefix: { type: 'string', default: 'waiting' },
  },
});
const broker = await connect(values.url);
// The prefetch equals the concurrency: otherwise the first process would take tasks for which the second one is free.
const consumer = createConsumer(broker, tasksIn(values.prefix), wait, { concurrency: 5, prefetch: 5 });
await consumer.start();
process.send?.('at work');

await once(process, process.connected ? 'disconnect' : 'SIGINT');
await consumer.stop();
await broker.close();
