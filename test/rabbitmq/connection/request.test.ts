import { expect, it, onTestFinished } from 'vitest';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { AmqpServer } from '../../hostile/amqp-server.js';
import { rejection } from '../../support/rejection.js';

it('requests beside one that the broker closes the connection over are answered all the same', async () => {
  const server = await AmqpServer.start({
    QueueDeclare: ({ fields, peer }) => {
      if (fields.queue !== 'guilty') return false;
      peer.method(0, 'ConnectionClose', {
        replyCode: 541,
        replyText: 'INTERNAL_ERROR',
        classId: 50,
        methodId: 10,
      });
      return true;
    },
  });
  onTestFinished(() => server.close());
  const reconnect = { initialDelayMs: 1, maxDelayMs: 10 };
  const broker = await openRabbitMqBroker([server.url], { reconnect });
  onTestFinished(() => broker.close());
  const names = Array.from({ length: 20 }, (_, index) => `innocent-${index}`);
  const guilty = rejection(broker.inspect('guilty'), 'BROKER_ERROR');
  const stats = await Promise.all(names.map((name) => broker.inspect(name)));
  expect(stats.map(({ ready }) => ready)).toEqual(names.map(() => 0));
  expect((await guilty).message).toMatch(/INTERNAL_ERROR/);
});
