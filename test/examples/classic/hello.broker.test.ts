import type { Channel, Options } from 'amqplib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { amqpUrl, brokerVersion, rawConnection, uniqueName } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { removeQueues } from '../../support/remove-queues.js';
import { noPika, python } from '../support/python.js';
import { Example, linesOf } from '../support/run-example.js';

/** What tutorials declare, from the current ones to the oldest. */
const KINDS: Readonly<Record<string, Options.AssertQueue>> = {
  quorum: { durable: true, arguments: { 'x-queue-type': 'quorum' } },
  classic: { durable: true },
  transient: { durable: false },
};
// RabbitMQ 4.3 takes no queue that is neither durable nor exclusive, whoever declares it.
const kinds = Object.keys(KINDS).filter(
  (kind) => kind !== 'transient' || brokerVersion().takesTransientQueues,
);
const pikaIsMissing = await noPika();

function newQueue(): string {
  const queue = uniqueName('hello');
  onTestFinished(() => removeQueues(queue));
  return queue;
}

/** The other side, as the RabbitMQ tutorial for JavaScript writes it. */
async function tutorialChannel(): Promise<Channel> {
  const channel = await (await rawConnection()).createChannel();
  channel.on('error', () => {});
  return channel;
}

async function received(channel: Channel, queue: string): Promise<string> {
  const texts: string[] = [];
  await channel.consume(queue, (message) => texts.push(String(message?.content)), { noAck: true });
  await eventually(() => texts.length > 0);
  return texts.join();
}

async function startReceiver(queue: string, ...args: string[]): Promise<Example> {
  const receiver = new Example('hello/receive', '-u', amqpUrl(), '-q', queue, ...args);
  await receiver.printed(/Waiting for messages/);
  return receiver;
}

/** It ends on Ctrl+C, and has acknowledged what it received. */
async function end(receiver: Example, queue: string): Promise<void> {
  receiver.child.kill('SIGINT');
  expect(await receiver.exit()).toBe(0);
  expect(receiver.stderr).toBe('');
  expect((await (await tutorialChannel()).checkQueue(queue)).messageCount).toBe(0);
}

test('hello runs on RabbitMQ as it does without, and says that it made the queue', async () => {
  const queue = newQueue();
  const first = await linesOf('hello', '-u', amqpUrl(), '-q', queue);
  expect(first.slice(0, 2)).toEqual([
    ` [*] '${queue}' was not there: this program made it, as a quorum queue. One that declares another kind is`,
    '     refused: delete the queue and start that one first, or use --kind quorum, classic or transient here.',
  ]);
  const lines = [" [x] Sent 'Hello World!'", " [x] Received 'Hello World!'"];
  expect(first.slice(2)).toEqual(lines);
  expect(await linesOf('hello', '-u', amqpUrl(), '-q', queue)).toEqual(lines);
});

describe.each(kinds)("beside a tutorial's %s queue", (kind) => {
  test('that was there first, hello/send is understood', async () => {
    const queue = newQueue();
    const channel = await tutorialChannel();
    await channel.assertQueue(queue, KINDS[kind]);
    expect(await linesOf('hello/send', '-u', amqpUrl(), '-q', queue)).toEqual([" [x] Sent 'Hello World!'"]);
    expect(await received(channel, queue)).toBe('Hello World!');
  });

  test('that was there first, hello/receive understands', async () => {
    const queue = newQueue();
    const channel = await tutorialChannel();
    await channel.assertQueue(queue, KINDS[kind]);
    const receiver = await startReceiver(queue);
    channel.sendToQueue(queue, Buffer.from('Hello World!'));
    await receiver.printed(/Received 'Hello World!'/);
    await end(receiver, queue);
  });

  test('that comes second, both sides work with --kind', async () => {
    const queue = newQueue();
    const receiver = await startReceiver(queue, '--kind', kind);
    const channel = await tutorialChannel();
    await channel.assertQueue(queue, KINDS[kind]);
    channel.sendToQueue(queue, Buffer.from('Hello World!'));
    await receiver.printed(/Received 'Hello World!'/);
    await end(receiver, queue);

    const other = newQueue();
    await linesOf('hello/send', '-u', amqpUrl(), '-q', other, '--kind', kind);
    const second = await tutorialChannel();
    await second.assertQueue(other, KINDS[kind]);
    expect(await received(second, other)).toBe('Hello World!');
  });

  test.skipIf(pikaIsMissing)(
    `the tutorial for Python works on both sides ${pikaIsMissing ?? ''}`,
    async () => {
      const queue = newQueue();
      expect(await python('send.py', amqpUrl(), queue, kind)).toEqual([" [x] Sent 'Hello World!'"]);
      const receiver = await startReceiver(queue);
      await receiver.printed(/Received 'Hello World!'/);
      await end(receiver, queue);

      await linesOf('hello/send', '-u', amqpUrl(), '-q', queue);
      const lines = await python('receive.py', amqpUrl(), queue, kind);
      expect(lines.at(-1)).toBe(' [x] Received Hello World!');
    },
  );
});

test('a tutorial that declares another kind is refused, and the receiver has said why', async () => {
  const queue = newQueue();
  const receiver = await startReceiver(queue);
  expect(receiver.stdout).toContain('this program made it, as a quorum queue');
  const channel = await tutorialChannel();
  await expect(channel.assertQueue(queue, KINDS.classic)).rejects.toThrow(/PRECONDITION_FAILED/);
  await end(receiver, queue);
});

test('an unknown kind is one line', async () => {
  const program = new Example('hello/send', '-u', amqpUrl(), '-q', newQueue(), '--kind', 'lazy');
  expect(await program.exit()).toBe(2);
  expect(program.stderr).toBe('--kind: quorum, classic or transient, not lazy\n');
});
