import { expect, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Backend } from '../../../src/broker.js';
import type { Consumer } from '../../../src/consumer/consumer.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { isQueueError } from '../../../src/errors.js';
import { createPublisher } from '../../../src/topics/publisher.js';
import { defineSubscription, type SubscriptionOptions } from '../../../src/topics/subscription.js';
import { defineTopic } from '../../../src/topics/topic.js';
import { Ledger } from '../../support/ledger.js';
import { handlingOf } from '../ledger/empty-queue.js';

export type FanOutEvent = 'grain' | 'chaff';

const value = z.object({ number: z.number() });

/** A subscription, what was published to it, and what it handled. */
export interface Branch {
  readonly queue: string;
  readonly takes: readonly FanOutEvent[];
  readonly ledger: Ledger;
  readonly consumer: Consumer;
}

/**
 * A topic with two events and a consumer for each of the subscriptions, each with a connection of its own. None has
 * started yet. Whatever a subscription handles that is not for it counts as invented.
 */
export async function openFanOut(
  topicName: string,
  open: () => Promise<Backend>,
  branches: Readonly<Record<string, Pick<SubscriptionOptions<FanOutEvent>, 'to' | 'capacity'>>>,
) {
  const topic = defineTopic(topicName, { grain: value, chaff: value });
  const all: Record<string, Branch> = {};
  for (const [name, options] of Object.entries(branches)) {
    const subscription = defineSubscription(topic, name, options);
    const broker = await open();
    await broker.declare(subscription.spec);
    const ledger = new Ledger();
    const handle = (_: unknown, context: Parameters<typeof handlingOf>[0]) =>
      ledger.handle(handlingOf(context));
    const handlers = Object.fromEntries(subscription.events.map((event) => [event, handle]));
    const consumer = createConsumer(broker, subscription as never, { handlers } as never, {
      concurrency: 10,
    });
    all[name] = { queue: subscription.name, takes: options.to, ledger, consumer };
  }
  const publisher = createPublisher(await open(), topic);

  /** Resolves to the code that it was refused with, if it was. */
  const publish = async (
    event: FanOutEvent,
    number: number,
    timeoutMs = 60_000,
  ): Promise<string | undefined> => {
    const id = `${event}-${number}`;
    const takers = Object.values(all).filter(({ takes }) => takes.includes(event));
    for (const { ledger } of takers) ledger.beginSend(id);
    let error: unknown;
    try {
      expect(await publisher.publish(event, { number }, { id, timeoutMs })).toEqual({ id, routed: true });
    } catch (thrown) {
      error = thrown;
    }
    for (const { ledger } of takers) ledger.endSend(id, error);
    return isQueueError(error) ? error.code : error === undefined ? undefined : String(error);
  };

  /** Until all that was confirmed is handled; then nothing may speak against the ledgers. */
  const finish = async (signal: AbortSignal): Promise<void> => {
    for (const { ledger } of Object.values(all)) {
      await ledger.until(() => ledger.missing.length === 0 && ledger.sending === 0, signal);
    }
    for (const { consumer } of Object.values(all)) await consumer.stop();
    for (const [name, { ledger }] of Object.entries(all)) expect(ledger.breaches(), name).toEqual([]);
  };

  return { branches: all, publish, finish };
}

/** Opens brokers that are closed at the end of the test. */
export function closingBroker(connect: () => Promise<Backend>): () => Promise<Backend> {
  return async () => {
    const broker = await connect();
    onTestFinished(() => broker.close());
    return broker;
  };
}
