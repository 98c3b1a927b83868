import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectAmqplib } from 'amqplib';
import { closingOnFailure } from '../flows.mjs';
import { backendOf, connect, defineQueue } from '../millrace.mjs';
import { orderSchema } from '../order.mjs';

/**
 * Makes a queue and opens the client on it. `close` removes both again. It fails where the client leaves messages behind,
 * unless it may: one that it did not acknowledge comes back when the client is gone, and was not dealt with.
 */
export async function openClient(options) {
  const { client: name, url, clientUrl = url, type, size, leavesMessages = false } = options;
  const queue = `millrace-bench-${randomUUID()}`;
  await declare(url, queue, type);
  const removeQueue = () =>
    onChannel(url, async (channel) => {
      await channel.deleteQueue(queue);
      await channel.deleteQueue(`${queue}.dead`);
    });
  try {
    const { open } = await import(`./clients/${name}.mjs`);
    const client = await open({ url: clientUrl, queue, size });
    const close = async () => {
      try {
        // Some wait for what they can't send or handle any more.
        await Promise.race([client.close(), delay(3000)]);
        if (!leavesMessages) await checkEmpty(url, queue);
      } finally {
        await removeQueue();
      }
    };
    return { client, close };
  } catch (error) {
    await removeQueue();
    throw error;
  }
}

/** For work that is done once. */
export async function withClient(options, work) {
  const { client, close } = await openClient(options);
  const figures = await closingOnFailure(close, () => work(client));
  await close();
  return figures;
}

async function declare(url, queue, type) {
  const broker = await connect(url);
  await backendOf(broker).declare(defineQueue(queue, orderSchema, { type }).spec);
  await broker.close();
}

async function checkEmpty(url, queue) {
  await onChannel(url, async (channel) => {
    const { messageCount } = await channel.checkQueue(queue);
    if (messageCount > 0) throw new Error(`failed: ${messageCount} messages are left in the queue`);
  });
}

async function onChannel(url, work) {
  const connection = await connectAmqplib(url);
  const channel = await connection.createChannel();
  try {
    await work(channel);
  } finally {
    await connection.close();
  }
}
