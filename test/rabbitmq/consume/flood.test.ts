import { expect, it, onTestFinished } from 'vitest';
import type { BrokerEvent } from '../../../src/broker.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { AmqpServer } from '../../hostile/amqp-server.js';
import { deliveryWith } from '../../hostile/frames.js';
import { eventually } from '../../support/eventually.js';

it('a broker that sends far more than the prefetch allows loses its consumer, and memory stays bounded', async () => {
  const server = await AmqpServer.start({
    BasicConsume: ({ channel, fields: { queue, consumerTag }, peer }) => {
      peer.method(channel, 'BasicConsumeOk', { consumerTag });
      if (queue !== 'queue') return;
      for (let tag = 1n; tag <= 5000n; tag++) {
        peer.raw(deliveryWith({ channel, consumerTag: String(consumerTag), tag, body: '"x"' }));
      }
    },
  });
  onTestFinished(() => server.close());
  const events: BrokerEvent[] = [];
  const broker = await openRabbitMqBroker([server.url], { observe: (event) => events.push(event) });
  onTestFinished(() => broker.close());
  let open = 0;
  let most = 0;
  const onLost = () => {
    open--;
  };
  await broker.subscribe('queue', { prefetch: 10, onLost }, () => {
    most = Math.max(most, ++open);
  });
  const ended = () => events.filter((event) => event.type === 'unsubscribed');
  await eventually(() => ended().length >= 3);
  expect(ended()[0]?.reason.message).toBe('the broker sent 121 messages at once, for a prefetch of 10');
  expect(most).toBe(120);
});
