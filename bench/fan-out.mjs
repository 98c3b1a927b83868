/**
 * Events that are copied to a number of subscriptions: `count` copies a turn, in as many events as that takes. Nobody
 * consumes: the queues are checked to have every copy, and emptied, outside of what is timed.
 */

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectAmqplib } from 'amqplib';
import { Connection } from 'rabbitmq-client';
import {
  backendOf,
  connect,
  createProducer,
  createPublisher,
  defineQueue,
  defineSubscription,
  defineTopic,
} from './millrace.mjs';
import { bodyOf, orderSchema, orders } from './order.mjs';
import { sendInWindow } from './rabbitmq/window.mjs';
import { stopwatch } from './stopwatch.mjs';

export const staysOpen = true;

const SIZE = 100;
const EVENT = 'order.placed';

/** `subscriptions: 0`: the same number of messages, sent to one queue. */
export async function fanOut({ url, place, client, subscriptions, count, warmUpCount }) {
  const broker = await connect(
    url ?? (place === undefined ? 'local:' : `local:${join(place, randomUUID())}`),
  );
  const topic = defineTopic(`bench-${randomUUID()}`, { [EVENT]: orderSchema });
  const options = { capacity: Number.POSITIVE_INFINITY, deadLetter: false };
  const queues =
    subscriptions === 0
      ? [defineQueue(topic.name, orderSchema, options)]
      : Array.from({ length: subscriptions }, (_, number) =>
          defineSubscription(topic, `s${number}`, { to: ['order.*'], ...options }),
        );
  const backend = backendOf(broker);
  for (const { spec } of queues) await backend.declare(spec);
  const publisher = await PUBLISHERS[client]({ broker, url, topic, queue: queues[0] });
  const copies = Math.max(1, subscriptions);
  const publish = async (wanted) => {
    const events = Math.ceil(wanted / copies);
    const stopWatch = stopwatch(events * copies);
    await publisher.publishAll(events);
    const figures = stopWatch();
    for (const { name } of queues) await empty(broker, name, events);
    return figures;
  };
  const close = async () => {
    await publisher.close();
    for (const { name } of queues) await broker.remove(name);
    await broker.close();
    if (url !== undefined) await removeExchange(url, topic.name);
  };
  await publish(warmUpCount);
  return {
    turn: async () => {
      await publish(Math.ceil(count / 2));
      return publish(count);
    },
    close,
  };
}

const PUBLISHERS = {
  async millrace({ broker, topic, queue }) {
    if (queue.events === undefined) {
      const producer = createProducer(broker, queue);
      return { publishAll: (count) => producer.sendMany(orders(count, SIZE)), close: async () => {} };
    }
    const publisher = createPublisher(broker, topic);
    return { publishAll: (count) => publisher.publishMany(events(count)), close: async () => {} };
  },

  async amqplib({ url, topic }) {
    const connection = await connectAmqplib(url);
    const channel = await connection.createConfirmChannel();
    /** @returns {Promise<void>} */
    const send = () =>
      new Promise((resolve, reject) => {
        channel.publish(topic.name, EVENT, bodyOf(SIZE), { persistent: true }, (error) =>
          error ? reject(error) : resolve(),
        );
      });
    return { publishAll: (count) => sendInWindow(count, send), close: () => connection.close() };
  },

  async 'rabbitmq-client'({ url, topic }) {
    const connection = new Connection(url);
    connection.on('error', () => {});
    await once(connection, 'connection');
    const publisher = connection.createPublisher({ confirm: true, maxAttempts: 2 });
    const envelope = { exchange: topic.name, routingKey: EVENT, durable: true };
    const body = bodyOf(SIZE);
    return {
      publishAll: (count) => sendInWindow(count, () => publisher.send(envelope, body)),
      async close() {
        await publisher.close();
        await connection.close();
      },
    };
  },
};

/** @returns {Generator<readonly [string, unknown]>} */
function* events(count) {
  for (const order of orders(count, SIZE)) yield [EVENT, order];
}

/** RabbitMQ may count a message a moment after it has confirmed it. */
async function empty(broker, queue, expected) {
  let found = 0;
  for (let attempt = 0; found < expected && attempt < 100; attempt++) {
    if (attempt > 0) await delay(50);
    found += await broker.purge(queue);
  }
  if (found !== expected) throw new Error(`failed: ${found} copies of ${expected} are in '${queue}'`);
}

async function removeExchange(url, name) {
  const connection = await connectAmqplib(url);
  const channel = await connection.createChannel();
  await channel.deleteExchange(name);
  await connection.close();
}
