/** The sender. It ends when the message is stored, whether or not a receiver is running. */
import { parseArgs } from 'node:util';
import { connect, createProducer } from 'millrace';
import { declareHello } from './queue.ts';

const { values, positionals } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'amqp://localhost' },
    queue: { type: 'string', short: 'q', default: 'hello' },
    kind: { type: 'string' },
  },
  allowPositionals: true,
});
const text = positionals.join(' ') || 'Hello World!';

const broker = await connect(values.url);
const queue = await declareHello(broker, values.queue, values.kind);
await createProducer(broker, queue).send(text); // resolves: routed to the queue and stored
console.log(` [x] Sent '${text}'`);
await broker.close();
