/** Reminders that are sent now and arrive later, in the order of their times. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createProducer, defineQueue } from 'millrace';
import { z } from 'zod';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'reminders' },
  },
});
const broker = await connect(values.url);
const reminders = defineQueue(values.prefix, z.object({ text: z.string() }));
const begin = performance.now();

const producer = createProducer(broker, reminders);
await producer.send({ text: 'take the bread out of the oven' }, { delayMs: 4000 });
await producer.send({ text: 'turn the pancake' }, { at: new Date(Date.now() + 2000) });
await producer.send({ text: 'put the kettle on' });

const consumer = createConsumer(broker, reminders, ({ text }) => {
  console.log(`after ${Math.floor((performance.now() - begin) / 1000)} s: ${text}`);
});
await consumer.start();
while (consumer.counts.handled < 3) await sleep(10);
await consumer.stop();
await broker.close();
