import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { connect } from 'amqplib';
import { expect, onTestFinished, test } from 'vitest';
import {
  amqpUrl,
  brokerRunsInContainer,
  canStartOwnBroker,
  closeConnectionsByName,
  managementApi,
  rabbitmqctl,
  rawConnection,
  startOwnBroker,
  uniqueName,
} from './broker.js';
import { eventually } from './eventually.js';

test('a message goes through the broker of the test run', async () => {
  const queue = uniqueName('smoke');
  const channel = await (await rawConnection()).createConfirmChannel();
  await channel.assertQueue(queue, {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-expires': 60_000 },
  });
  channel.sendToQueue(queue, Buffer.from('Hello World!'));
  await channel.waitForConfirms();
  const received = await new Promise((resolve) => {
    channel.consume(queue, (message) => resolve(message?.content.toString()), { noAck: true });
  });
  expect(received).toBe('Hello World!');
  await channel.deleteQueue(queue);
});

test('connections are closed from the side of the broker, by their name', async () => {
  const name = uniqueName('to-be-closed');
  const connection = await connect(amqpUrl(), { clientProperties: { connection_name: name } });
  connection.on('error', () => {});
  const closed = new Promise<Error | undefined>((resolve) => connection.on('close', resolve));
  expect(await closeConnectionsByName(name)).toBe(1);
  expect(String(await closed)).toContain('CONNECTION_FORCED');
});

test('connections that still log in do not hinder the closing of those that have a name', async () => {
  const name = uniqueName('among-others');
  onTestFinished(await loggingIn());
  const connection = await connect(amqpUrl(), { clientProperties: { connection_name: name } });
  connection.on('error', () => {});
  onTestFinished(await loggingIn());
  expect(await closeConnectionsByName(name)).toBe(1);
});

/**
 * A connection that says no more than its protocol, and does so again whenever the broker has lost its patience.
 * Resolves when the broker has greeted it for the first time. Returns what ends it.
 */
async function loggingIn(): Promise<() => void> {
  const { hostname, port } = new URL(amqpUrl());
  let socket: Socket;
  const open = () => {
    socket = createConnection({ host: hostname, port: Number(port || 5672) });
    socket.on('error', () => {});
    socket.on('close', open);
    socket.write(Buffer.from('AMQP\0\0\x09\x01', 'latin1'));
    return once(socket, 'data');
  };
  await open();
  return () => socket.off('close', open).destroy();
}

test('its version is known to the management API and to rabbitmqctl', async (context) => {
  const overview = (await managementApi('GET', '/api/overview')) as { rabbitmq_version: string };
  context.skip(!brokerRunsInContainer(), 'the broker of TEST_AMQP_URL runs in no known container');
  expect((await rabbitmqctl('version')).trim()).toBe(overview.rabbitmq_version);
});

test('a broker of its own that is restarted keeps its address and its durable messages', async (context) => {
  context.skip(!canStartOwnBroker(), 'needs Docker, not the broker of TEST_AMQP_URL');
  const broker = await startOwnBroker();
  const before = await (await rawConnection(broker.amqpUrl)).createConfirmChannel();
  await before.assertQueue('kept', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  before.sendToQueue('kept', Buffer.from('still here'), { persistent: true });
  await before.waitForConfirms();
  await broker.restart();
  const after = await (await rawConnection(broker.amqpUrl)).createChannel();
  // A quorum queue elects its leader after the start, and reports no messages before that.
  const message = await eventually(() => after.get('kept'));
  expect(message.content.toString()).toBe('still here');
});
