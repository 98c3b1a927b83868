import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createPublisher } from '../../../src/topics/publisher.js';
import { defineSubscription } from '../../../src/topics/subscription.js';
import { defineTopic } from '../../../src/topics/topic.js';
import { uniqueName } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { Ledger } from '../../support/ledger.js';
import { removeQueues } from '../../support/remove-queues.js';
import { addressOf, brokerBehindProxy } from '../ledger/addresses.js';
import { handlingOf } from '../ledger/empty-queue.js';
import type { LedgerPlan } from '../ledger/ledger.js';
import { startWorker } from '../ledger/worker.js';
import { size } from '../size.js';

const prefix = uniqueName('fan-out-ledger');
const EVENTS = size(600, 6000);
const FAULTS = size(4, 20);
const LIMIT_MS = 120_000;

afterAll(() => removeQueues(prefix));

describe.each(['quorum', 'local:./folder'] as const)('three subscriptions (%s)', (backend) => {
  it(`get each event at least once, whatever happens to links and to one of them ${FAULTS} times`, async () => {
    const name = `${prefix}-${backend.replaceAll(/\W/g, '')}`;
    const topic = defineTopic(name, { grain: z.object({ producer: z.number(), number: z.number() }) });
    const { proxy, address } =
      backend === 'quorum'
        ? await brokerBehindProxy()
        : { proxy: undefined, address: await addressOf(backend) };
    const reconnect = { initialDelayMs: 20, maxDelayMs: 500 };
    const open = async () => {
      const broker = await connect(address, { reconnect });
      onTestFinished(() => broker.close());
      return broker;
    };
    const ledgers = ['one', 'two', 'killed'].map((subscription) => ({ subscription, ledger: new Ledger() }));
    const subscriptions = ledgers.map(({ subscription }) =>
      defineSubscription(topic, subscription, { to: ['#'] }),
    );
    const inspector = await open();
    for (const { spec } of subscriptions) await inspector.declare(spec);

    // Two in this process, behind the links that are cut; one in a process that is killed.
    const consumers = [];
    for (const [index, subscription] of subscriptions.slice(0, 2).entries()) {
      const consumer = createConsumer(
        await open(),
        subscription,
        { handlers: { grain: (_, context) => ledgers[index]?.ledger.handle(handlingOf(context)) } },
        { concurrency: 10 },
      );
      await consumer.start();
      consumers.push(consumer);
    }
    const killed = subscriptions[2]?.name ?? '';
    const plan: LedgerPlan = { fault: '', backend, address, queue: killed, messages: EVENTS, handlerMs: 5 };
    const start = () => startWorker(plan, (handling) => ledgers[2]?.ledger.handle(handling), []);
    let worker = await start();

    const publisher = createPublisher(await open(), topic, { timeoutMs: 60_000 });
    const publishOne = async (number: number): Promise<void> => {
      const id = `grain-${number}`;
      for (const { ledger } of ledgers) ledger.beginSend(id);
      let error: unknown;
      try {
        expect(await publisher.publish('grain', { producer: 0, number }, { id })).toEqual({
          id,
          routed: true,
        });
      } catch (thrown) {
        error = thrown;
      }
      for (const { ledger } of ledgers) ledger.endSend(id, error);
    };
    const signal = AbortSignal.timeout(LIMIT_MS);
    for (let fault = 0; fault < FAULTS; fault++) {
      const count = Math.ceil(EVENTS / FAULTS);
      const sends = Array.from({ length: count }, (_, index) => publishOne(fault * count + index));
      await worker.midway();
      proxy?.cut();
      await worker.kill();
      worker = await start();
      await Promise.all(sends);
    }
    for (const { ledger } of ledgers) {
      await ledger.until(() => ledger.missing.length === 0 && ledger.sending === 0, signal);
    }
    await Promise.all(consumers.map((consumer) => consumer.stop()));
    await worker.stop();
    for (const { subscription, ledger } of ledgers) {
      expect(ledger.breaches(), subscription).toEqual([]);
      expect(ledger.count('confirmed'), subscription).toBeGreaterThan(EVENTS / 2);
    }
  });
});
