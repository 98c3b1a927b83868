import { AckPolicy, connect, RetentionPolicy, StorageType } from 'nats';
import { bodyOf } from '../../order.mjs';
import { sendInWindow } from '../../rabbitmq/window.mjs';
import { WINDOW } from '../window.mjs';

/** A stream in files as a work queue. The server confirms before the disk has it: it syncs every two minutes. */
export async function open({ place, queue, size }) {
  const connection = await connect({ servers: `127.0.0.1:${place}` });
  const manager = await connection.jetstreamManager();
  const stream = jetStream(connection);
  await manager.streams.info(queue).catch(() =>
    manager.streams.add({
      name: queue,
      subjects: [queue],
      storage: StorageType.File,
      retention: RetentionPolicy.Workqueue,
    }),
  );
  await manager.consumers.add(queue, {
    durable_name: 'worker',
    ack_policy: AckPolicy.Explicit,
    max_ack_pending: WINDOW,
  });
  const body = bodyOf(size);
  return {
    publishAll: (count) => sendInWindow(count, () => stream.publish(queue, body)),
    send: () => stream.publish(queue, body),
    async consume(onMessage) {
      const consumer = await stream.consumers.get(queue, 'worker');
      const messages = await consumer.consume({ max_messages: WINDOW });
      const done = (async () => {
        for await (const message of messages) {
          JSON.parse(message.string());
          onMessage();
          message.ack();
        }
      })();
      return async () => {
        await connection.flush();
        await messages.close();
        await done;
      };
    },
    async countLeft() {
      const { num_pending, num_ack_pending } = await manager.consumers.info(queue, 'worker');
      return num_pending + num_ack_pending;
    },
    close: async () => {
      await manager.streams.delete(queue);
      await connection.close();
    },
  };
}

function jetStream(connection) {
  return connection.jetstream({ timeout: 30_000 });
}
