import { expect, onTestFinished, test } from 'vitest';
import type { BrokerEvent } from '../../src/broker.js';
import { connect } from '../../src/connect.js';
import { startOwnBroker } from '../support/broker.js';
import { Millrace, millrace } from './support/spawn-millrace.js';

test('a worker and a program that start before their broker are there when it is', async () => {
  const broker = await startOwnBroker();
  onTestFinished(() => broker.stop());
  await broker.kill();
  const url = broker.amqpUrl;
  // Longer than a broker takes to start on a busy machine.
  const worker = new Millrace(['work', '-q', 'early', '-u', url, '--connect-timeout', '30m', '--count', '1']);
  const events: BrokerEvent[] = [];
  const connecting = connect(url, { connectTimeoutMs: 1_800_000, observe: (event) => events.push(event) });
  await worker.said('waiting for up to 30 min: no broker answered');
  await broker.start();
  const connected = await connecting;
  onTestFinished(() => connected.close());
  // Refused at first; while the broker starts, Docker's proxy accepts connections and closes them.
  expect(events.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1])).toEqual([
    'waiting',
    'connected',
  ]);
  await worker.said("Waiting for messages in 'early'");
  expect((await millrace(['send', 'x', '-q', 'early', '-u', url])).exitCode).toBe(0);
  expect(await worker.exit()).toBe(0);
  expect(worker.stdout).toContain("'x'");
});

test('doctor does not wait for a broker: what it finds is its answer', async () => {
  const doctor = await millrace(['doctor', '-u', 'amqp://127.0.0.1:1', '--connect-timeout', '30m']);
  expect(doctor.exitCode).toBe(69);
});
