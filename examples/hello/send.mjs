import { parseArgs } from 'node:util';
import { connect, createProducer } from 'millrace';
import { hello } from './queue.mjs';

const { values, positionals } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'amqp://localhost' },
    queue: { type: 'string', short: 'q', default: 'hello' },
  },
  allowPositionals: true,
});
const text = positionals.join(' ') || 'Hello World!';

const broker = await connect(values.url);
await createProducer(broker, hello(values.queue)).send(text); // resolves: routed to the queue and stored
console.log(` [x] Sent '${text}'`);
await broker.close();
