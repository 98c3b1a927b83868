import rascal from 'rascal';
import { bodyOf } from '../../order.mjs';
import { acknowledgeAfter, PREFETCH, sendInWindow } from '../window.mjs';

export async function open({ url, queue, size }) {
  const config = rascal.withDefaultConfig({
    vhosts: {
      '/': {
        connection: { url },
        queues: { [queue]: { assert: false } },
        publications: { orders: { queue, confirm: true } },
        subscriptions: { orders: { queue, prefetch: PREFETCH } },
      },
    },
  });
  const broker = await rascal.BrokerAsPromised.create(config);
  broker.on('error', () => {});
  const body = bodyOf(size);
  const send = async () => {
    const publication = await broker.publish('orders', body);
    await new Promise((resolve, reject) => publication.on('success', resolve).on('error', reject));
  };
  return {
    send,
    publishAll: (count) => sendInWindow(count, send),
    async consume(onMessage) {
      const subscription = await broker.subscribe('orders');
      subscription.on('error', () => {});
      subscription.on('message', (_message, _content, ackOrNack) => {
        acknowledgeAfter(onMessage(), () => ackOrNack());
      });
      return () => subscription.cancel();
    },
    close: () => broker.shutdown(),
  };
}
