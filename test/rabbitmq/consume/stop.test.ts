import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { TcpProxy } from '../../../src/testing/tcp-proxy.js';
import { amqpUrl, uniqueName } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { Inbox, idsOf } from '../../support/inbox.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('stop');
let count = 0;

afterAll(() => removeQueues(prefix));

const types = ['quorum', 'classic'] as const;

async function open(): Promise<Backend> {
  const broker = await openRabbitMqBroker([amqpUrl()], {});
  onTestFinished(() => broker.close());
  return broker;
}

/** A broker behind a link with latency. */
async function openFar(delayMs: number): Promise<Backend> {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port) });
  proxy.delay(delayMs);
  const broker = await openRabbitMqBroker([proxy.url(amqpUrl())], {});
  onTestFinished(async () => {
    await broker.close();
    await proxy.close();
  });
  return broker;
}

function numbers(options: QueueOptions) {
  return defineQueue(`${prefix}-${++count}`, z.number(), { deadLetter: false, ...options });
}

/** Handlers that end when they are told to. */
class Gate<T> {
  readonly begun: T[] = [];
  readonly #open: (() => void)[] = [];
  #isOpen = false;

  readonly handler = (value: T): Promise<void> => {
    this.begun.push(value);
    return new Promise((resolve) => {
      if (this.#isOpen) resolve();
      else this.#open.push(resolve);
    });
  };

  open(): void {
    this.#isOpen = true;
    for (const each of this.#open.splice(0)) each();
  }
}

describe.each(types)('stop, on a %s queue', (type) => {
  it.each([0, 5, 100])(
    'loses no message that waits for its key, however late its handlers end (latency %i ms)',
    async (latency) => {
      const far = await openFar(latency);
      const queue = defineQueue(`${prefix}-${++count}`, z.object({ key: z.string(), name: z.string() }), {
        type,
        deadLetter: false,
      });
      const gate = new Gate<{ name: string }>();
      const consumer = createConsumer(far, queue, gate.handler, {
        concurrency: 2,
        prefetch: 10,
        key: ({ key }) => key,
      });
      const producer = createProducer(far, queue);
      for (const name of ['A1', 'A2', 'A3', 'B1']) await producer.send({ key: name.slice(0, 1), name });
      await consumer.start();
      await eventually(() => gate.begun.length === 2);
      const stopping = consumer.stop();
      // In the middle of the cancellation, which takes two round trips.
      await new Promise((resolve) => setTimeout(resolve, latency));
      gate.open();
      await stopping;
      expect(gate.begun.map(({ name }) => name)).toEqual(['A1', 'B1']);
      const near = await open();
      const again = await (await Inbox.open(near, queue.name)).take(2);
      expect(again.map(({ message }) => JSON.parse(String(message.body)).name)).toEqual(['A2', 'A3']);
      for (const delivery of again) delivery.ack();
      await eventually(async () => (await near.inspect(queue.name)).ready === 0);
    },
  );

  it('keeps the order of what had not begun, with a prefetch of more than one, again and again', async () => {
    const broker = await open();
    const queue = numbers({ type });
    const total = 300;
    const order: number[] = [];
    await createProducer(broker, queue).sendMany(Array.from({ length: total }, (_, index) => index));
    for (let round = 1; new Set(order).size < total; round++) {
      const consumer = createConsumer(broker, queue, (value) => void order.push(value), {
        concurrency: 1,
        prefetch: 10,
      });
      await consumer.start();
      await eventually(() => new Set(order).size >= Math.min(total, round * 20), { intervalMs: 1 });
      await consumer.stop();
    }
    expect(order).toEqual(Array.from({ length: total }, (_, index) => index));
  });

  it('hands a queue with a single active consumer over in order, and one handler at a time', async () => {
    const [one, two] = [await open(), await open()];
    const queue = numbers({ type, arguments: { 'x-single-active-consumer': true } });
    const total = 60;
    const order: string[] = [];
    const attempts = new Set<number>();
    let running = 0;
    const consumer = (broker: Backend, name: string) =>
      createConsumer(
        broker,
        queue,
        async (value, { attempt }) => {
          expect(++running).toBe(1);
          attempts.add(attempt);
          order.push(`${name}${value}`);
          await new Promise((resolve) => setTimeout(resolve, 2));
          running--;
        },
        { concurrency: 1, prefetch: 10 },
      );
    await createProducer(one, queue).sendMany(Array.from({ length: total }, (_, index) => index));
    const [first, second] = [consumer(one, 'A'), consumer(two, 'B')];
    await first.start();
    await second.start();
    await eventually(() => order.length >= 20, { intervalMs: 1 });
    await first.stop();
    await eventually(() => order.length >= total);
    await second.stop();
    expect(order.map((each) => Number(each.slice(1)))).toEqual(Array.from({ length: total }, (_, n) => n));
    expect(order.filter((each) => each.startsWith('B')).length).toBeGreaterThan(0);
    // Nothing waited that had to go back as a failure.
    expect([...attempts]).toEqual([1]);
  });
});

describe('stop', () => {
  it('waits until the queue has stored the acknowledgements: nothing is redelivered, however many stop at once', async () => {
    const broker = await open();
    const queues = Array.from({ length: 12 }, () => numbers({}));
    const handled: string[] = [];
    const consumers = await Promise.all(
      queues.map(async (queue) => {
        await createProducer(broker, queue).sendMany(Array.from({ length: 50 }, (_, index) => index));
        const handler = (value: number) => void handled.push(`${queue.name} ${value}`);
        const consumer = createConsumer(broker, queue, handler, { prefetch: 50 });
        await consumer.start();
        return consumer;
      }),
    );
    await eventually(() => handled.length >= 600, { intervalMs: 1 });
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    for (const queue of queues)
      expect(await broker.inspect(queue.name)).toMatchObject({ ready: 0, consumers: 0 });
    expect(handled).toHaveLength(600);
  });

  it('returns what was not begun at no cost: its next attempt is the first', async () => {
    const broker = await open();
    const queue = numbers({});
    await createProducer(broker, queue).sendMany([1, 2, 3]);
    const gate = new Gate<number>();
    const consumer = createConsumer(broker, queue, gate.handler, { concurrency: 1, prefetch: 10 });
    await consumer.start();
    await eventually(() => gate.begun.length === 1);
    const stopping = consumer.stop();
    await new Promise(setImmediate);
    gate.open();
    await stopping;
    const again = await (await Inbox.open(broker, queue.name)).take(2);
    expect(again.map(({ message }) => String(message.body))).toEqual(['2', '3']);
    expect(idsOf(again)).toHaveLength(2);
    for (const delivery of again) {
      expect(delivery.attempt).toBe(1);
      delivery.ack();
    }
  });
});
