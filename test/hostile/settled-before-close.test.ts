import { expect, test } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { defineQueue } from '../../src/queue.js';
import { openRabbitMqBroker } from '../../src/rabbitmq/rabbitmq-broker.js';
import { eventually } from '../support/eventually.js';
import { AmqpServer, type Received, type Script } from './amqp-server.js';
import { deliveryWith } from './frames.js';

/** A quorum queue that goes on counting a cancelled consumer until it has stored what that consumer acknowledged. */
function slowToStore(seen: string[]): Script {
  let consuming: number | undefined;
  let asked = 0;
  const note = (what: string) => (received: Received) => {
    if (received.channel === consuming) seen.push(what);
    return false;
  };
  return {
    BasicConsume: ({ peer, channel, fields }) => {
      // The toolkit has consumers of its own besides.
      if (fields.queue !== 'queue') return false;
      consuming = channel;
      const consumerTag = String(fields.consumerTag);
      peer.method(channel, 'BasicConsumeOk', { consumerTag });
      return peer.raw(deliveryWith({ channel, consumerTag }));
    },
    QueueDeclare: ({ peer, channel, fields: { queue } }) => {
      if (channel !== consuming) return false;
      const isCancelled = seen.includes('cancelled');
      if (isCancelled) asked++;
      const consumerCount = isCancelled && asked > 1 ? 0 : 1;
      if (isCancelled) seen.push(`counted ${consumerCount}`);
      return peer.method(channel, 'QueueDeclareOk', { queue, messageCount: 0, consumerCount });
    },
    BasicAck: note('acknowledged'),
    BasicCancel: note('cancelled'),
    ChannelClose: note('closed'),
  };
}

test('stop closes the channel when the queue has stored what was acknowledged, and not before', async () => {
  const seen: string[] = [];
  const server = await AmqpServer.start(slowToStore(seen));
  const broker = await openRabbitMqBroker([server.url], {});
  const queue = defineQueue('queue', z.unknown(), { declare: 'existing', deadLetter: false });
  const handled: unknown[] = [];
  const consumer = createConsumer(broker, queue, (value) => void handled.push(value));
  await consumer.start();
  await eventually(() => seen.includes('acknowledged'));
  await consumer.stop();
  await broker.close();
  await server.close();
  expect(handled).toEqual(['hello']);
  expect(seen).toEqual(['acknowledged', 'cancelled', 'counted 1', 'counted 0', 'closed']);
});
