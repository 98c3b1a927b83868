import { connect } from 'amqp-connection-manager';
import { bodyOf } from '../../order.mjs';
import { acknowledgeAfter, PREFETCH, sendInWindow } from '../window.mjs';

export async function open({ url, queue, size }) {
  const connection = connect([url]);
  const channel = connection.createChannel({});
  await channel.waitForConnect();
  const body = bodyOf(size);
  const options = { persistent: true };
  const send = () => channel.sendToQueue(queue, body, options);
  return {
    send,
    publishAll: (count) => sendInWindow(count, send),
    async consume(onMessage) {
      const onDelivery = (message) => {
        acknowledgeAfter(onMessage(), () => channel.ack(message));
      };
      const { consumerTag } = await channel.consume(queue, onDelivery, { prefetch: PREFETCH });
      return () => channel.cancel(consumerTag);
    },
    async close() {
      await channel.close();
      await connection.close();
    },
  };
}
