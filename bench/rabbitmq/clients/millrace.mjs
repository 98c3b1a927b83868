import { connect, createConsumer, createProducer, defineQueue } from '../../millrace.mjs';
import { orderOf, orderSchema, orders } from '../../order.mjs';
import { PREFETCH } from '../window.mjs';

/** As shipped: a schema, JSON, and the defaults but for the prefetch. */
export async function open({ url, queue, size }) {
  const broker = await connect(url);
  const orderQueue = defineQueue(queue, orderSchema, { declare: 'existing' });
  const producer = createProducer(broker, orderQueue);
  return {
    publishAll: (count) => producer.sendMany(orders(count, size)),
    send: () => producer.send(orderOf(1_000_000, size)),
    async consume(onMessage) {
      const consumer = createConsumer(broker, orderQueue, async () => onMessage(), { prefetch: PREFETCH });
      await consumer.start();
      return () => consumer.stop();
    },
    close: () => broker.close(),
  };
}
