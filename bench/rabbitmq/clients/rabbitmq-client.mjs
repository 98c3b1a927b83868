import { once } from 'node:events';
import { Connection } from 'rabbitmq-client';
import { bodyOf } from '../../order.mjs';
import { PREFETCH, sendInWindow } from '../window.mjs';

export async function open({ url, queue, size }) {
  const connection = new Connection(url);
  connection.on('error', () => {});
  await connection.onConnect();
  const publisher = connection.createPublisher({ confirm: true, maxAttempts: 2 });
  const body = bodyOf(size);
  const envelope = { routingKey: queue, durable: true };
  const send = () => publisher.send(envelope, body);
  return {
    send,
    publishAll: (count) => sendInWindow(count, send),
    async consume(onMessage) {
      const settings = { queue, queueOptions: { passive: true }, qos: { prefetchCount: PREFETCH } };
      const consumer = connection.createConsumer(settings, async () => {
        await onMessage();
      });
      consumer.on('error', () => {});
      await once(consumer, 'ready');
      return () => consumer.close();
    },
    async close() {
      await publisher.close();
      await connection.close();
    },
  };
}
