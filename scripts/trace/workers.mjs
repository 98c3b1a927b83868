/** Bills orders and packs them; the first bill fails. Arguments: a name, and the address of the broker. */
import './spans.mjs';
import { setTimeout } from 'node:timers/promises';
import { connect, createConsumer, createProducer } from '../../dist/index.js';
import { bills, orders, parcels } from './queues.mjs';

const broker = await connect(process.argv[3]);
const toBills = createProducer(broker, bills);
const toParcels = createProducer(broker, parcels);
const options = { retry: { delaysMs: [60] }, observe: () => {} };

const consumers = [
  createConsumer(
    broker,
    orders,
    async (order) => {
      await setTimeout(20);
      await toBills.send(order);
    },
    options,
  ),
  createConsumer(
    broker,
    bills,
    async (order, { attempt }) => {
      await setTimeout(15);
      if (attempt === 1) throw new TypeError('no ink');
      await toParcels.send(order);
    },
    options,
  ),
  createConsumer(broker, parcels, () => setTimeout(40), options),
];
for (const consumer of consumers) await consumer.start();
process.send({ ready: true });

process.once('message', async () => {
  for (const consumer of consumers) await consumer.stop();
  await broker.close();
  process.disconnect();
});
