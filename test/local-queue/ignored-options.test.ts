import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Broker, BrokerEvent } from '../../src/broker.js';
import { type ConnectOptions, connect } from '../../src/connect.js';
import { createProducer } from '../../src/producer/producer.js';
import { defineQueue } from '../../src/queue.js';
import { recordWarnings } from '../support/warnings.js';
import { newFolder } from './disk/folders.js';

async function open(url: string, options: ConnectOptions = {}): Promise<[Broker, BrokerEvent[]]> {
  const events: BrokerEvent[] = [];
  const broker = await connect(url, { observe: (event) => events.push(event), ...options });
  onTestFinished(() => broker.close());
  return [broker, events];
}

const addresses = [
  ['in memory', () => 'local:'],
  ['on disk', () => `local:${newFolder()}`],
] as const;

test.each(addresses)(
  'arguments that only RabbitMQ knows are reported once for a queue, %s',
  async (_, url) => {
    const [broker, events] = await open(url());
    const options = { arguments: { 'x-message-ttl': 50, 'x-single-active-consumer': true } };
    const jobs = createProducer(broker, defineQueue('jobs', z.string(), options));
    await jobs.send('a');
    await jobs.send('b');
    await createProducer(broker, defineQueue('others', z.string())).send('c');
    expect(events).toEqual([
      {
        type: 'ignored',
        queue: 'jobs',
        options: ['x-message-ttl (use expiresInMs when sending)', 'x-single-active-consumer'],
      },
    ]);
  },
);

test.each(addresses)('options of connect that only RabbitMQ knows are reported, %s', async (_, url) => {
  const [, events] = await open(url(), { heartbeatMs: 5000, reconnect: { maxAttempts: 3 } });
  expect(events).toEqual([{ type: 'ignored', queue: undefined, options: ['heartbeatMs', 'reconnect'] }]);
});

test('without an observer they are process warnings', async () => {
  const warnings = recordWarnings('MILLRACE_IGNORED');
  const broker = await connect('local:', { leaseMs: 5000 });
  const queue = defineQueue('jobs', z.string(), { arguments: { 'x-expires': 5000 } });
  await createProducer(broker, queue).send('a');
  await broker.close();
  // Node.js emits them a moment later.
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings.map(({ code, message }) => `${code}: ${message}`)).toEqual([
    'MILLRACE_IGNORED: options of connect without effect on this broker: leaseMs',
    "MILLRACE_IGNORED: arguments of 'jobs' without effect on this broker: x-expires",
  ]);
});
