import type { ConfirmChannel, ConsumeMessage, GetMessage } from 'amqplib';
import { afterAll } from 'vitest';
import { rawConnection, uniqueName } from '../../support/broker.js';
import { removeQueues } from '../../support/remove-queues.js';

/** Gives names for queues; the queues, and what the toolkit makes beside them, are deleted after the test file. */
export function queueNames(prefix: string): () => string {
  const unique = uniqueName(prefix);
  let count = 0;
  afterAll(() => removeQueues(unique));
  return () => `${unique}-${++count}`;
}

/** The other side of a test: amqplib without the toolkit. */
export async function rawChannel(): Promise<ConfirmChannel> {
  return (await rawConnection()).createConfirmChannel();
}

export async function put(
  channel: ConfirmChannel,
  queue: string,
  ...bodies: readonly string[]
): Promise<void> {
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
  await channel.waitForConfirms();
}

/** As today's RabbitMQ tutorials declare theirs. */
export async function declareAsTutorial(channel: ConfirmChannel, queue: string): Promise<void> {
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
}

export async function takeAll(channel: ConfirmChannel, queue: string): Promise<GetMessage[]> {
  const all: GetMessage[] = [];
  for (;;) {
    const message = await channel.get(queue, { noAck: true });
    if (message === false) return all;
    all.push(message);
  }
}

/** Takes so many messages as they come, which is faster than one by one. */
export async function consume(
  channel: ConfirmChannel,
  queue: string,
  count: number,
): Promise<ConsumeMessage[]> {
  const all: ConsumeMessage[] = [];
  const consumerTag = `test-${queue}`;
  await new Promise<void>((resolve) => {
    const take = (message: ConsumeMessage | null) => {
      if (message !== null && all.push(message) === count) resolve();
    };
    void channel.consume(queue, take, { noAck: true, consumerTag });
  });
  await channel.cancel(consumerTag);
  return all;
}

/** How many messages nobody has taken yet. */
export async function ready(channel: ConfirmChannel, queue: string): Promise<number> {
  return (await channel.checkQueue(queue)).messageCount;
}

export function texts(messages: readonly (GetMessage | ConsumeMessage)[]): string[] {
  return messages.map((message) => message.content.toString());
}
