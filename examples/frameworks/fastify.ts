import Fastify from 'fastify';
import { connect, createConsumer, createProducer, defineQueue, isQueueError } from 'millrace';
import { z } from 'zod';

const orders = defineQueue('orders', z.object({ id: z.string(), total: z.number() }));

const broker = await connect(process.env.MILLRACE_URL ?? 'local:');
const producer = createProducer(broker, orders);
const consumer = createConsumer(broker, orders, ({ id }) => console.log(`shipping ${id}`));
await consumer.start();

const app = Fastify();
app.post('/orders', async (request, reply) => {
  try {
    // Any value: the queue's schema decides.
    const { id } = await producer.send(request.body as never, { timeoutMs: 2000 });
    return reply.code(202).send({ id });
  } catch (error) {
    if (isQueueError(error, 'INVALID_MESSAGE')) return reply.code(400).send({ error: error.message });
    if (isQueueError(error, 'TIMEOUT')) return reply.code(503).header('retry-after', '5').send();
    throw error;
  }
});
app.addHook('onClose', async () => {
  await consumer.stop({ deadlineMs: 10_000 });
  await broker.close();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void app.close());
console.log(`listening at ${await app.listen({ port: Number(process.env.PORT ?? 3000) })}`);
