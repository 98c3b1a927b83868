import { AMQPSession } from '@cloudamqp/amqp-client';
import { bodyOf } from '../../order.mjs';
import { PREFETCH, sendInWindow } from '../window.mjs';

// A reset of the connection rejects a promise that this client keeps to itself, which would end the process.
process.on('unhandledRejection', () => {});

/** The level of this client that reconnects. */
export async function open({ url, queue: name, size }) {
  const session = await AMQPSession.connect(url);
  const queue = await session.queue(name, { passive: true });
  const body = bodyOf(size);
  const send = () => queue.publish(body, { deliveryMode: 2 });
  return {
    send,
    publishAll: (count) => sendInWindow(count, send),
    async consume(onMessage) {
      const subscription = await queue.subscribe({ prefetch: PREFETCH }, async () => {
        await onMessage();
      });
      return () => subscription.cancel();
    },
    close: () => session.stop(),
  };
}
