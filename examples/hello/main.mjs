/** Both sides in one process: all that an embedded queue needs. */
import { parseArgs } from 'node:util';
import { connect, createProducer, receive } from 'millrace';
import { hello } from './queue.mjs';

const { values, positionals } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    queue: { type: 'string', short: 'q', default: 'hello' },
  },
  allowPositionals: true,
});
const text = positionals.join(' ') || 'Hello World!';
const queue = hello(values.queue);

const broker = await connect(values.url);
await createProducer(broker, queue).send(text); // resolves: it is stored
console.log(` [x] Sent '${text}'`);

for await (const message of receive(broker, queue)) {
  console.log(` [x] Received '${message.value}'`);
  message.ack(); // done: the message is removed
  break; // one is all that this program waits for
}
await broker.close();
