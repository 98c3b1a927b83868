import { parseArgs } from 'node:util';
import { connect, createConsumer } from 'millrace';
import { hello } from './queue.mjs';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'amqp://localhost' },
    queue: { type: 'string', short: 'q', default: 'hello' },
  },
});

const broker = await connect(values.url);
const consumer = createConsumer(broker, hello(values.queue), (text) => {
  console.log(` [x] Received '${text}'`); // returning acknowledges the message
});
await consumer.start();
console.log(` [*] Waiting for messages in '${values.queue}'. To exit press CTRL+C`);

process.once('SIGINT', async () => {
  await consumer.stop(); // takes no more, and finishes what was begun
  await broker.close();
});
