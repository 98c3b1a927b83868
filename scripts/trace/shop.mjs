/** Takes orders over HTTP, and puts them into a queue. Arguments: a name, and the address of the broker. */
import './spans.mjs';
import { createServer } from 'node:http';
import { context, SpanKind, trace } from '@opentelemetry/api';
import { connect, createProducer } from '../../dist/index.js';
import { orders } from './queues.mjs';

const broker = await connect(process.argv[3]);
const producer = createProducer(broker, orders);
const tracer = trace.getTracer('http');

const server = createServer((request, response) => {
  const span = tracer.startSpan(`${request.method} ${request.url}`, { kind: SpanKind.SERVER });
  context.with(trace.setSpan(context.active(), span), async () => {
    await producer.send('A-1');
    response.writeHead(202).end();
    span.end();
  });
}).listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));

process.once('message', async () => {
  server.close();
  await broker.close();
  process.disconnect();
});
