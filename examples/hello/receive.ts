/** The receiver. It holds a message until its handler returns; if it is killed before that, the message is not lost. */
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
  await consumer.stop(); // takes no more messages, and waits for running handlers
  await broker.close();
});
await consumer.start();
console.log(` [*] Waiting for messages in '${values.queue}'. To exit press CTRL+C`);
