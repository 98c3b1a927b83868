// Another process with the same folder: `bind EXCHANGE QUEUE KEY` declares a queue that is bound, `unbind` takes the binding
// back, `purge QUEUE` makes room. Prints `done`.
import { z } from 'zod';
import { backendOf } from '../../../../dist/backend.js';
import { connect, defineExchange, defineQueue } from '../../../../dist/index.js';

const [folder, action, exchange, queue, routingKey] = process.argv.slice(2);
const broker = backendOf(await connect(`local:${folder}`));
if (action === 'purge') await broker.purge(exchange);
else {
  const binding = { exchange: defineExchange(exchange), routingKey };
  const bindings = action === 'bind' ? { bindings: [binding] } : { unbind: [binding] };
  await broker.declare(defineQueue(queue, z.unknown(), { deadLetter: false, ...bindings }).spec);
}
await broker.close();
console.log('done');
