import { join } from 'node:path';
import { backendOf, connect, createConsumer, createProducer, defineQueue } from '../../millrace.mjs';
import { orderOf, orderSchema, orders } from '../../order.mjs';
import { CONCURRENCY, WINDOW } from '../window.mjs';

/** As shipped: a schema, JSON, flushed before `send` resolves. Each queue has a folder of its own. */
export async function open({ place, queue, size, prefetch = WINDOW }) {
  const broker = await connect(`local:${join(place, queue)}`);
  const orderQueue = defineQueue(queue, orderSchema);
  await backendOf(broker).declare(orderQueue.spec);
  const producer = createProducer(broker, orderQueue);
  return {
    publishAll: (count) => producer.sendMany(orders(count, size)),
    send: () => producer.send(orderOf(1_000_000, size)),
    async consume(onMessage) {
      const options = { concurrency: CONCURRENCY, prefetch };
      const consumer = createConsumer(broker, orderQueue, async () => onMessage(), options);
      await consumer.start();
      return () => consumer.stop();
    },
    countLeft: async () => (await broker.inspect(queue)).ready,
    close: () => broker.close(),
  };
}
