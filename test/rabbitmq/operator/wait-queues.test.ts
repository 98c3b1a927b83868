import { afterAll, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { Backend, BrokerEvent, WaitQueue } from '../../../src/broker.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { RetryLater } from '../../../src/errors.js';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { millrace } from '../../cli/support/spawn-millrace.js';
import { amqpUrl, knownManagementUrl, managementUrl, uniqueName } from '../../support/broker.js';
import { EventLog } from '../../support/event-log.js';
import { eventually } from '../../support/eventually.js';
import { removeQueues } from '../../support/remove-queues.js';

const prefix = uniqueName('wait-queues');
afterAll(() => removeQueues(prefix));

async function open(observe: (event: BrokerEvent) => void = () => {}): Promise<Backend> {
  const url = knownManagementUrl();
  const broker = await openRabbitMqBroker([amqpUrl()], {
    observe,
    ...(url !== undefined && { managementUrl: url }),
  });
  onTestFinished(() => broker.close());
  return broker;
}

/** A queue one of whose messages was retried once after this delay. */
async function retriedOnce(broker: Backend, queue: ReturnType<typeof define>, delayMs: number) {
  await broker.declare(queue.spec);
  await createProducer(broker, queue).send('x');
  const log = new EventLog();
  const consumer = createConsumer(
    broker,
    queue,
    (_text, { attempt }) => {
      if (attempt === 1) throw new Error('once');
    },
    { retry: { delaysMs: [delayMs] }, observe: log.observe },
  );
  await consumer.start();
  await log.until('retried');
  return { consumer, log };
}

const define = (name: string) => defineQueue(`${prefix}-${name}`, z.string());

/** The statistics of the management API follow within seconds. */
function waitQueue(broker: Backend, name: string, state: WaitQueue['state']): Promise<WaitQueue> {
  return eventually(async () => {
    const all = await broker.operator?.waitQueues?.();
    const found = all?.find((one) => one.name === name);
    return found?.state === state ? found : false;
  });
}

test.skipIf(knownManagementUrl() === undefined)(
  'a wait queue is used while messages wait in it or a consumer’s policy has its delay, and can be removed after that',
  async () => {
    const broker = await open();
    const queue = define('policy');
    const { consumer, log } = await retriedOnce(broker, queue, 50);
    await log.until('handled');
    const used = await waitQueue(broker, `${queue.name}.retry.50`, 'used');
    expect(used).toMatchObject({ queue: queue.name, messages: 0 });
    // The list may be older than the consumer: it is asked again.
    expect(await broker.operator?.removeWaitQueue?.({ ...used, state: 'unused' })).toBe(false);
    // The next version of the program has another policy, and delays that its handler chooses.
    await consumer.stop();
    await createProducer(broker, queue).send('x');
    const log2 = new EventLog();
    const changed = createConsumer(
      broker,
      queue,
      (_text, { attempt }) => {
        if (attempt === 1) throw new RetryLater(90);
      },
      { retry: { delaysMs: [70] }, observe: log2.observe },
    );
    await changed.start();
    await log2.until('handled');
    await waitQueue(broker, used.name, 'unused');
    const step = await waitQueue(broker, `${queue.name}.retry.step.100`, 'used');
    expect(await broker.operator?.removeWaitQueue?.({ ...step, state: 'unused' })).toBe(false);
    const args = ['doctor', '--management-url', managementUrl()];
    const env = { MILLRACE_URL: amqpUrl() };
    expect((await millrace(args, { env })).stdout).toMatch(
      new RegExp(`^warn {2}wait queues +unused: .*'${used.name}'`, 'm'),
    );
    const fixed = await millrace([...args, '--fix'], { env });
    expect(fixed.stdout).toMatch(new RegExp(`^ok {4}wait queues +removed .*'${used.name}'`, 'm'));
    expect(await broker.operator?.removeWaitQueue?.({ ...used, state: 'unused' })).toBe(false);
    const left = (await broker.operator?.waitQueues?.())?.map(({ name }) => name);
    expect(left).not.toContain(used.name);
    expect(left).toContain(step.name);
    await changed.stop();
    // The same process, which had declared it before, retries through it again.
    const again = await retriedOnce(broker, queue, 50);
    await again.log.until('handled');
    await again.consumer.stop();
  },
);

test.skipIf(knownManagementUrl() === undefined)(
  'one that holds messages is never removed, and they reach their queue',
  async () => {
    const broker = await open();
    const queue = define('holds');
    const { consumer } = await retriedOnce(broker, queue, 8000);
    await consumer.stop();
    const name = `${queue.name}.retry.8000`;
    await eventually(async () => (await broker.inspect(name)).ready === 1);
    const state = { name, queue: queue.name, messages: 0, state: 'unused' } as const;
    expect(await broker.operator?.removeWaitQueue?.(state)).toBe(false);
    await broker.remove(queue.name);
    await waitQueue(broker, name, 'orphaned');
    const log = new EventLog();
    const later = createConsumer(broker, queue, () => {}, { observe: log.observe });
    await later.start();
    await log.until('handled');
    await later.stop();
  },
);
