// Sends messages one after the other, each awaited, and handles them where a subscriber is asked for.
// Usage: FOLDER flush|commit COUNT [subscriber|late-subscriber]; the late one starts when all is sent.
import { connect, createConsumer, createProducer, defineQueue } from 'millrace';
import { z } from 'zod';

const [folder, durability, count, subscriber] = process.argv.slice(2);
const queue = defineQueue('synced', z.number());
const broker = await connect(`local:${folder}`, { durability });
let handled = 0;
const consumer = createConsumer(broker, queue, () => {
  handled++;
});
if (subscriber === 'subscriber') await consumer.start();
const producer = createProducer(broker, queue);
for (let number = 0; number < Number(count); number++) await producer.send(number);
if (subscriber === 'late-subscriber') await consumer.start();
while (subscriber !== undefined && handled < Number(count)) await new Promise(setImmediate);
await consumer.stop();
await broker.close();
