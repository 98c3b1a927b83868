/** A web API that answers once an order is stored, and a worker that handles it later. With a client that tries both. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { connect, createConsumer, createProducer, defineQueue, isQueueError } from 'millrace';
import { z } from 'zod';

const { values } = parseArgs({
  options: {
    url: { type: 'string', short: 'u', default: 'local:' },
    prefix: { type: 'string', default: 'web-api' },
  },
});
const orderSchema = z.object({ id: z.string(), total: z.number() });
const broker = await connect(values.url);
const orders = defineQueue(values.prefix, orderSchema, { capacity: 1 });

// The API. In earnest a program of its own: `millrace init` writes both.
const producer = createProducer(broker, orders);
const server = createServer(async (request, response) => {
  const answer = (status: number, text: string) => response.writeHead(status).end(text);
  try {
    const order = JSON.parse(await bodyOf(request)) as z.infer<typeof orderSchema>;
    // Unlike `send`, it does not wait for room: a client can come again.
    const stored = await producer.trySend(order);
    if (stored === undefined) answer(503, 'too many orders wait; try again');
    else answer(202, 'stored');
  } catch (error) {
    if (error instanceof SyntaxError) answer(400, 'that is not JSON');
    else if (isQueueError(error, 'INVALID_MESSAGE'))
      answer(400, error.message.replace(values.prefix, 'orders'));
    else answer(500, 'something went wrong');
  }
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`;

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > 10_000) throw new SyntaxError('too long');
  }
  return text;
}

async function post(body: string): Promise<void> {
  const response = await fetch(address, { method: 'POST', body });
  console.log(`POST ${body}: ${response.status} ${await response.text()}`);
}

await post('{"id":"A-1","total":12.5}');
await post('{"id":"A-2"}');
await post('{"id":');
// Nobody works yet, and there is room for one.
await post('{"id":"A-3","total":7}');

const consumer = createConsumer(broker, orders, ({ id, total }) =>
  console.log(`worker: order ${id}, ${total}`),
);
await consumer.start();
while (consumer.counts.handled < 1) await sleep(10);
await post('{"id":"A-3","total":7}');
while (consumer.counts.handled < 2) await sleep(10);
server.close();
await consumer.stop();
await broker.close();
