// A consumer as a newcomer writes it. What it is to show is the first argument.
import { connect, createConsumer, createProducer } from '../../../dist/index.js';
import { defineQueue } from '../../../dist/queue.js';

const any = { '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } };
const [scene] = process.argv.slice(2);
const orders = defineQueue('orders', any, scene === 'dropped' ? { deadLetter: false } : {});
const broker = await connect('local:', scene === 'logger' ? { logger: console } : {});

function shipTheOrder(order) {
  throw new Error(`no paper for ${order}`);
}

const options = {
  'dead-letters': { retry: { delaysMs: [] } },
  dropped: { retry: { delaysMs: [] } },
  observed: { retry: { delaysMs: [1] }, observe: () => {} },
};
const consumer = createConsumer(broker, orders, shipTheOrder, options[scene] ?? { retry: { delaysMs: [1] } });
await consumer.start();
const producer = createProducer(broker, orders);
for (let i = 1; i <= (scene === 'dead-letters' ? 100 : 2); i++) await producer.send(`\x1b[31mA-${i}`);
const sent = scene === 'dead-letters' ? 100 : 2;
while (consumer.counts.deadLettered < sent) await new Promise((resolve) => setTimeout(resolve, 1));
await consumer.stop();
await broker.close();
