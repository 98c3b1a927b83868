/** Does jobs until it is stopped. Run as many as you like, each in a process of its own, and kill some. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createProducer } from 'millrace';
import { queuesOf } from './queues.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:./processes-data' },
    prefix: { type: 'string', default: 'processes' },
    name: { type: 'string', default: `worker-${process.pid}` },
    'hang-at': { type: 'string' },
  },
});
const { jobs, results } = queuesOf(values.prefix);
const broker = await connect(values.url);
const done = createProducer(broker, results);

let begun = 0;
const consumer = createConsumer(
  broker,
  jobs,
  async ({ job }, { redelivered }) => {
    if (redelivered) console.log(`${values.name}: job ${job} is redelivered: its first worker has died`);
    if (++begun === Number(values['hang-at'])) await new Promise(() => {});
    await delay(25);
    await done.send({ job, worker: values.name }); // before the acknowledgement: better twice than never
  },
  { prefetch: 1 }, // it holds one job, and leaves the others to the other processes
);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await consumer.stop();
    await broker.close();
    if (process.connected) process.disconnect();
  });
}
await consumer.start();
console.log(`${values.name}: at work`);
