import { expect, onTestFinished, test } from 'vitest';
import { amqpUrl, rawConnection, uniqueName } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { Example, linesOf } from './run-example.js';

/** The other side, as the RabbitMQ tutorial for JavaScript writes it. */
async function tutorial(queue: string) {
  const channel = await (await rawConnection()).createChannel();
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  onTestFinished(async () => {
    await channel.deleteQueue(queue);
  });
  return channel;
}

test('hello runs on RabbitMQ as it does without', async () => {
  const queue = uniqueName('hello');
  await tutorial(queue);
  const lines = await linesOf('hello', '-u', amqpUrl(), '-q', queue);
  expect(lines).toEqual([" [x] Sent 'Hello World!'", " [x] Received 'Hello World!'"]);
});

test("hello/send is understood by the tutorial's receiver", async () => {
  const queue = uniqueName('hello');
  const channel = await tutorial(queue);
  const received: string[] = [];
  await channel.consume(queue, (message) => received.push(String(message?.content)), { noAck: true });

  expect(await linesOf('hello/send', '-u', amqpUrl(), '-q', queue)).toEqual([" [x] Sent 'Hello World!'"]);

  await eventually(() => received.length > 0);
  expect(received).toEqual(['Hello World!']);
});

test("hello/receive understands the tutorial's sender, and ends on Ctrl+C", async () => {
  const queue = uniqueName('hello');
  const channel = await tutorial(queue);
  const receiver = new Example('hello/receive', '-u', amqpUrl(), '-q', queue);
  await receiver.printed(/Waiting for messages/);

  channel.sendToQueue(queue, Buffer.from('Hello World!'));
  await receiver.printed(/Received 'Hello World!'/);

  receiver.child.kill('SIGINT');
  expect(await receiver.exit()).toBe(0);
  expect(receiver.stderr).toBe('');
  // Acknowledged: nothing came back to the queue.
  expect((await channel.checkQueue(queue)).messageCount).toBe(0);
});
