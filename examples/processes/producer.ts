/** Sends jobs while a background consumer receives changes of pace, and ends when the last job is stored. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createProducer } from 'millrace';
import { queuesOf } from './queues.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:./processes-data' },
    prefix: { type: 'string', default: 'processes' },
    jobs: { type: 'string', default: '40' },
  },
});
const { control, jobs } = queuesOf(values.prefix);
const broker = await connect(values.url);

let pauseMs = 250;
const paceChanges = createConsumer(broker, control, (wish) => {
  pauseMs = wish.pauseMs;
  console.log(`producer: as you wish, ${pauseMs} ms between two jobs`);
});
paceChanges.unref(); // it is never stopped, and does not keep this program alive
await paceChanges.start();

const producer = createProducer(broker, jobs);
for (let job = 1; job <= Number(values.jobs); job++) {
  await producer.send({ job });
  await delay(pauseMs);
}
console.log(`producer: ${values.jobs} jobs are stored`); // and here it ends, its background consumer with it
