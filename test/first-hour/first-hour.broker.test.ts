/** What a newcomer met in the first hour, as far as it needs RabbitMQ. */
import { once } from 'node:events';
import { createServer, connect as dial } from 'node:net';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { BrokerEvent } from '../../src/broker.js';
import { connect } from '../../src/connect.js';
import { createConsumer } from '../../src/consumer/create-consumer.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { millrace } from '../cli/support/spawn-millrace.js';
import { amqpUrl, knownManagementUrl, uniqueName } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { removeQueues } from '../support/remove-queues.js';

const prefix = uniqueName('first-hour');
afterAll(() => removeQueues(prefix));

test('connect waits for a broker that comes up later', async () => {
  const to = new URL(amqpUrl());
  const door = createServer((socket) => {
    const broker = dial(Number(to.port || 5672), to.hostname);
    socket.pipe(broker).pipe(socket);
    for (const [end, other] of [
      [socket, broker],
      [broker, socket],
    ] as const)
      end.on('error', () => other.destroy()).on('close', () => other.destroy());
  });
  await once(door.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void door.close());
  const { port } = door.address() as { port: number };
  await new Promise((resolve) => door.close(resolve));

  const late = new URL(to);
  late.host = `127.0.0.1:${port}`;
  const events: BrokerEvent[] = [];
  const connecting = connect(late.href, {
    connectTimeoutMs: 100_000,
    observe: (event) => events.push(event),
  });
  await eventually(() => events.length > 0);
  expect(events).toMatchObject([{ type: 'waiting' }]);
  await once(door.listen(port, '127.0.0.1'), 'listening');
  const broker = await connecting;
  expect(broker.state).toBe('connected');
  await broker.close();
});

test.skipIf(knownManagementUrl() === undefined)(
  'the wait queues of earlier policies are named, and removed when asked (needs the management API)',
  async () => {
    const queue = defineQueue(`${prefix}-policies`, z.string());
    const delays = [101, 102, 103];
    const broker = await connect(amqpUrl());
    onTestFinished(() => broker.close());
    for (const delayMs of delays) {
      const consumer = createConsumer(
        broker,
        queue,
        (_value, { attempt }) => {
          if (attempt === 1) throw new Error('once');
        },
        { retry: { delaysMs: [delayMs] }, observe: () => {} },
      );
      await consumer.start();
      await createProducer(broker, queue).send('x');
      await eventually(() => consumer.counts.handled === 1);
      await consumer.stop();
    }
    const names = delays.map((delayMs) => `'${queue.name}.retry.${delayMs}'`);
    const env = { MILLRACE_URL: amqpUrl() };
    const doctor = async (...flags: string[]) =>
      (await millrace(['doctor', '--management-url', knownManagementUrl() as string, ...flags], { env }))
        .stdout;
    // What the management API tells follows within seconds.
    const lineOf = (text: string) => text.split('\n').find((line) => /wait queues/.test(line)) ?? '';
    await eventually(async () => {
      const line = lineOf(await doctor());
      return names.every((name) => line.includes(name));
    });
    const fixed = lineOf(await doctor('--fix'));
    expect(names.filter((name) => !fixed.includes(name))).toEqual([]);
    expect(fixed).toMatch(/^ok +wait queues +removed /);
  },
);
