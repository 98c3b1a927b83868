/** The receiver. A message is its own until its handler returns; killed before that, it loses none. */
import { parseArgs } from 'node:util';
import { connect, createConsumer } from 'millrace';
import { declareHello } from './queue.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'amqp://localhost' },
    queue: { type: 'string', short: 'q', default: 'hello' },
    kind: { type: 'string' },
  },
});

const broker = await connect(values.url);
const queue = await declareHello(broker, values.queue, values.kind);
const consumer = createConsumer(broker, queue, (text) => {
  console.log(` [x] Received '${text}'`); // returning acknowledges the message
});
process.once('SIGINT', async () => {
  await consumer.stop(); // takes no more, and finishes what was begun
  await broker.close();
});
await consumer.start();
console.log(` [*] Waiting for messages in '${values.queue}'. To exit press CTRL+C`);
