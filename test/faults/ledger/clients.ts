import { onTestFinished } from 'vitest';
import type { Backend } from '../../../src/broker.js';
import type { Consumer, HandlerContext } from '../../../src/consumer/consumer.js';
import { createConsumer } from '../../../src/consumer/create-consumer.js';
import { createProducer, type Producer } from '../../../src/producer/producer.js';
import type { Queue } from '../../../src/queue.js';
import { connect } from '../../support/connect.js';
import type { Ledger } from '../../support/ledger.js';
import { handlingOf } from './empty-queue.js';
import type { LedgerPlan } from './ledger.js';
import type { Log } from './log.js';
import type { Grain } from './senders.js';
import { type LedgerWorker, startWorker } from './worker.js';

/** All that takes part in a ledger. */
export interface Clients {
  /** Looks after the queue. */
  readonly inspector: Backend;
  /** One for each producer and each consumer of this process. */
  readonly brokers: readonly Backend[];
  readonly producers: readonly Producer<Grain>[];
  readonly workers: readonly LedgerWorker[];
  startWorker(): Promise<LedgerWorker>;
  /** Stops and closes all but the inspector. Resolves with the number of handlers that did not finish. */
  stop(): Promise<number>;
}

/** Opens them, consumers first. What a test leaves open, because it fails, is closed at its end. */
export async function openClients(
  plan: LedgerPlan,
  queue: Queue<Grain>,
  ledger: Ledger,
  log: Log,
): Promise<Clients> {
  const open = async (address = plan.address): Promise<Backend> => {
    const broker = await connect(address, {
      reconnect: { initialDelayMs: 20, maxDelayMs: 1000 },
      ...plan.connectOptions,
      observe: (event) => log.brokerEvents.push(event),
    });
    onTestFinished(() => broker.close());
    return broker;
  };
  // In memory there is but one: each connection would be a queue of its own.
  const shared = plan.backend === 'local:' ? await open() : undefined;
  const inspector = shared ?? (await open(plan.directAddress));
  await inspector.declare(queue.spec);
  const brokers: Backend[] = [];
  const openOne = async () => {
    const broker = shared ?? (await open());
    brokers.push(broker);
    return broker;
  };

  const workers: LedgerWorker[] = [];
  const startOne = async (): Promise<LedgerWorker> => {
    const worker = await startWorker(plan, (handling) => ledger.handle(handling), log.output);
    workers.push(worker);
    return worker;
  };
  for (let count = plan.workers ?? 0; count > 0; count--) await startOne();
  const consumers: Consumer[] = [];
  for (let count = plan.consumers ?? (workers.length > 0 ? 0 : 2); count > 0; count--) {
    const consumer = ledgerConsumer(await openOne(), queue, plan, ledger, log);
    await consumer.start();
    consumers.push(consumer);
  }
  const producers: Producer<Grain>[] = [];
  for (let count = plan.producers ?? 2; count > 0; count--) {
    producers.push(createProducer(await openOne(), queue, { timeoutMs: plan.sendTimeoutMs ?? 60_000 }));
  }

  return {
    inspector,
    brokers,
    producers,
    workers,
    startWorker: startOne,
    stop: async () => {
      const stopped = await Promise.all(consumers.map((consumer) => consumer.stop()));
      await Promise.all(workers.map((worker) => worker.stop()));
      if (shared === undefined) await Promise.all(brokers.map((broker) => broker.close()));
      return stopped.reduce((sum, { unfinished }) => sum + unfinished, 0);
    },
  };
}

function ledgerConsumer(
  broker: Backend,
  queue: Queue<Grain>,
  { handlerMs = 2, concurrency = 10, prefetch = 2 * concurrency, handler }: LedgerPlan,
  ledger: Ledger,
  log: Log,
): Consumer {
  const handle = async (value: Grain, context: HandlerContext) => {
    await work(handlerMs);
    await handler?.(value, context);
    ledger.handle(handlingOf(context));
  };
  return createConsumer(broker, queue, handle, {
    concurrency,
    prefetch,
    observe: (event) => {
      if (event.type !== 'handled') log.consumerEvents.push(event);
    },
  });
}

/** The handler's work, which a fault may hit in its middle. */
function work(maxMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.random() * maxMs));
}
