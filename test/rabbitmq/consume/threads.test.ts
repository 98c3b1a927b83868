import { expect, test } from 'vitest';
import { z } from 'zod';
import type { BrokerEvent } from '../../../src/broker.js';
import { connect } from '../../../src/connect.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { EventLog } from '../../support/event-log.js';

test('a handler that keeps its thread busy for longer than three heartbeats does not cost the connection', async () => {
  const events: BrokerEvent[] = [];
  const broker = await connect(amqpUrl(), {
    heartbeatMs: 2000,
    observe: (event) => events.push(event),
  });
  try {
    const queue = defineQueue(uniqueName('threads'), z.unknown(), {
      type: 'classic',
      autoDelete: true,
      deadLetter: false,
    });
    const log = new EventLog();
    const module = new URL('../../contract/handlers/threads/handler.mjs', import.meta.url);
    const consumer = createConsumer(broker, queue, { module, threads: 1 }, { observe: log.observe });
    await consumer.start();
    await createProducer(broker, queue).send({ do: 'spin', until: Date.now() + 7000 });
    expect(await log.until('handled')).toMatchObject([{ attempt: 1, redelivered: false }]);
    expect(events.filter(({ type }) => type === 'disconnected')).toEqual([]);
    await consumer.stop();
  } finally {
    await broker.close();
  }
});
