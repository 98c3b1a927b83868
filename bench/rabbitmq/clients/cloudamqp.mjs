import { AMQPClient } from '@cloudamqp/amqp-client';
import { bodyOf } from '../../order.mjs';
import { acknowledgeAfter, PREFETCH, sendInWindow } from '../window.mjs';

export async function open({ url, queue, size }) {
  const connection = await new AMQPClient(url).connect();
  const channel = await connection.channel();
  await channel.confirmSelect();
  await channel.basicQos(PREFETCH);
  const body = bodyOf(size);
  const properties = { deliveryMode: 2 };
  const send = () => channel.basicPublish('', queue, body, properties);
  return {
    send,
    publishAll: (count) => sendInWindow(count, send),
    async consume(onMessage) {
      const consumer = await channel.basicConsume(queue, { noAck: false }, (message) => {
        acknowledgeAfter(onMessage(), () => message.ack());
      });
      return () => consumer.cancel();
    },
    close: () => connection.close(),
  };
}
