/** Both sides in one process, which is all that an embedded queue needs. */
import { parseArgs } from 'node:util';
import { connect, createProducer, receive } from 'millrace';
import { declareHello } from './queue.ts';

const { values, positionals } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    queue: { type: 'string', short: 'q', default: 'hello' },
    kind: { type: 'string' },
  },
  allowPositionals: true,
});
const text = positionals.join(' ') || 'Hello World!';

const broker = await connect(values.url);
const queue = await declareHello(broker, values.queue, values.kind);
await createProducer(broker, queue).send(text); // resolves: it is stored
console.log(` [x] Sent '${text}'`);

for await (const message of receive(broker, queue)) {
  console.log(` [x] Received '${message.value}'`);
  message.ack(); // done: the message is removed
  break; // this program only waits for one message
}
await broker.close();
