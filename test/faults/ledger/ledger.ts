/**
 * The ledger: numbered messages from several producers to several consumers, while a fault strikes again and again.
 * At the end the ledger are compared, and nothing may be missing from them.
 *
 *   test('the link is cut', async () => {
 *     await runLedger({ fault: 'link cut', backend: 'quorum', address: proxy.url(await secretUser()), messages: 5000 },
 *       async ({ handled, strike }) => {
 *         for (let cut = 0; cut < 10; cut++) {
 *           await handled(100);                   // that many more than now
 *           await strike(() => proxy.cut());      // until what is sent from now on is confirmed and handled
 *         }
 *       });
 *   });
 *
 * Messages are sent until there are as many as asked for and the script is through. Then `runLedger` waits until
 * everything confirmed is handled and the queue is empty, stops and closes all, and fails the test unless
 *   - every confirmed message was handled at least once, and nothing that nobody sent;
 *   - every handling but one of a message was marked: `redelivered`, `attempt` above 1, or sent again;
 *   - what was called not stored was never handled; what is not known was `UNCONFIRMED`;
 *   - the queue and its dead-letter queue are empty;
 *   - `stop()` and `close()` settled;
 *   - memory stayed within 100 MB of its start;
 *   - the password of the address is in no event, no error and no output of a process.
 * It prints the tally, returns the figures, and with FAULTS_REPORT set (a folder) writes them there as JSON.
 */
import { setMaxListeners } from 'node:events';
import { expect, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { Backend, BrokerEvent } from '../../../src/broker.js';
import type { ConnectOptions } from '../../../src/connect.js';
import type { ConsumerEvent, HandlerContext } from '../../../src/consumer/consumer.js';
import { defineQueue, type Queue, type QueueOptions } from '../../../src/queue.js';
import { Ledger } from '../../support/ledger.js';
import { expectNoSecret } from '../secret-user.js';
import { openClients } from './clients.js';
import { emptyQueue } from './empty-queue.js';
import { type Figures, publishFigures } from './figures.js';
import { lastOf, openLog } from './log.js';
import { watchMemory } from './memory.js';
import { type Grain, keepSending } from './senders.js';
import type { LedgerWorker } from './worker.js';

const grain = z.object({ producer: z.number(), number: z.number() });

export interface LedgerPlan {
  /** What strikes: the name of the row in docs/faults.md, together with the backend. */
  readonly fault: string;
  readonly backend: 'quorum' | 'classic' | 'local:' | 'local:./folder';
  /** Of producers and consumers; through a proxy, where there is one. */
  readonly address: string | readonly string[];
  /** For whoever looks after the queue, past any proxy. Default: `address`. */
  readonly directAddress?: string;
  readonly queue: string;
  readonly queueOptions?: QueueOptions<Grain>;
  /** At least so many are sent. */
  readonly messages: number;
  /** Producers, each with a connection of its own. Default: 2. */
  readonly producers?: number;
  /** Consumers in this process, each with a connection of its own. Default: 2, and none where there are `workers`. */
  readonly consumers?: number;
  /** Consumers in processes of their own, which may be killed. They run what is built. Default: 0. */
  readonly workers?: number;
  /** Sends under way at once, of each producer. Default: 50. */
  readonly window?: number;
  /** Messages that may be on their way from send to handler before producers pause. Default: 500. */
  readonly maxAhead?: number;
  /** How long a handler takes: milliseconds, drawn at random from 0 to this. Default: 2. */
  readonly handlerMs?: number;
  /** Handlers at once, of each consumer. Default: 10. */
  readonly concurrency?: number;
  readonly prefetch?: number;
  readonly sendTimeoutMs?: number;
  /** How long it may take until things flow again. Default: 60,000. */
  readonly recoveryLimitMs?: number;
  readonly connectOptions?: Omit<ConnectOptions, 'observe'>;
  /** What a handler in this process does besides. What it throws is a failed attempt. */
  readonly handler?: (value: Grain, context: HandlerContext) => unknown;
}

/** What the script of a fault works with. */
export interface Scene {
  readonly ledger: Ledger;
  /** What happened to the links of producers and consumers, in the order of its happening. */
  readonly brokerEvents: readonly BrokerEvent[];
  /** Without those of type `handled`. */
  readonly consumerEvents: readonly ConsumerEvent[];
  /** Who looks after the queue, by a connection that no fault is meant for. */
  readonly inspector: Backend;
  readonly brokers: readonly Backend[];
  readonly workers: readonly LedgerWorker[];
  /** Another worker, in the place of one that is dead. */
  startWorker(): Promise<LedgerWorker>;
  /** How often this happened. */
  count(type: BrokerEvent['type'] | ConsumerEvent['type']): number;
  /** Resolves when `count` more messages than now have been handled. */
  handled(count: number): Promise<void>;
  /**
   * Does what harms and waits until it is overcome: until a message whose send began after `fault` had resolved is
   * handled. That time is in the figures.
   */
  strike(fault: () => unknown): Promise<void>;
}

const MIB = 1024 * 1024;
const MAX_GROWTH_BYTES = 100 * MIB;
const DRAIN_LIMIT_MS = 120_000;

/** Resolves with the figures. Rejects, and the test fails, where the ledger do not agree. */
export async function runLedger(plan: LedgerPlan, script: (scene: Scene) => Promise<void>): Promise<Figures> {
  const memory = watchMemory();
  onTestFinished(() => memory.stop());
  const log = openLog();
  const ledger = new Ledger();
  const queue = queueOf(plan);
  const clients = await openClients(plan, queue, ledger, log);
  const recoveryMs: number[] = [];
  const over = new AbortController();
  // Each lane of each producer waits with it.
  setMaxListeners(0, over.signal);

  /** Waits for the ledger; the error of a time-out reports what was seen instead. */
  const until = async (what: string, condition: () => boolean, limitMs: number): Promise<void> => {
    // Node 20 may collect a signal made by AbortSignal.any or AbortSignal.timeout, and its limit with it.
    const limit = new AbortController();
    const onOver = () => limit.abort(over.signal.reason);
    over.signal.addEventListener('abort', onOver);
    const timer = setTimeout(() => limit.abort(new Error(`not within ${limitMs} ms`)), limitMs);
    try {
      await ledger.until(condition, limit.signal);
    } catch (error) {
      const { begun, sending, handled, ahead } = ledger;
      throw new Error(
        `timed out waiting for ${what}: ${begun} begun, ${sending} being sent, ${handled} handled, ${ahead} on their way; the last events: ${lastOf(log)}`,
        { cause: error },
      );
    } finally {
      clearTimeout(timer);
      over.signal.removeEventListener('abort', onOver);
    }
  };
  const { recoveryLimitMs = 60_000 } = plan;
  const scene: Scene = {
    ledger,
    brokerEvents: log.brokerEvents,
    consumerEvents: log.consumerEvents,
    inspector: clients.inspector,
    brokers: clients.brokers,
    workers: clients.workers,
    startWorker: clients.startWorker,
    count: (type) =>
      [...log.brokerEvents, ...log.consumerEvents].filter((event) => event.type === type).length,
    handled: (count) => {
      const wanted = ledger.handled + count;
      return until(`${count} more to be handled`, () => ledger.handled >= wanted, recoveryLimitMs);
    },
    strike: async (fault) => {
      await fault();
      const begin = performance.now();
      const { begun } = ledger;
      await until('things to flow again', () => ledger.isHandledSince(begun), recoveryLimitMs);
      recoveryMs.push(performance.now() - begin);
    },
  };

  let isScriptDone = false;
  const sending = clients.producers.map((producer, index) =>
    keepSending(index + 1, producer, ledger, {
      window: plan.window ?? 50,
      maxAhead: plan.maxAhead ?? 500,
      isEnough: () => isScriptDone && ledger.begun >= plan.messages,
      signal: over.signal,
      output: log.output,
    }),
  );
  try {
    await script(scene);
    isScriptDone = true;
    const isSent = () => ledger.sending === 0 && ledger.begun >= plan.messages;
    await until('the sends to settle', isSent, DRAIN_LIMIT_MS);
    await until('all that is confirmed to be handled', () => ledger.ahead === 0, DRAIN_LIMIT_MS);
  } finally {
    over.abort(new Error('the run is over'));
  }
  await Promise.all(sending);
  // Should one of these not settle, the test ends here by its time limit.
  const unfinished = await clients.stop();
  await emptyQueue(clients.inspector, queue, (handling) => ledger.handle(handling));
  await clients.inspector.close();

  const { brokerEvents, consumerEvents, output } = log;
  const figures: Figures = {
    fault: plan.fault,
    backend: plan.backend,
    messages: ledger.begun,
    confirmed: ledger.count('confirmed'),
    unconfirmed: ledger.count('unconfirmed'),
    lost: ledger.missing.length,
    deleted: ledger.excused,
    duplicates: ledger.duplicates,
    resent: brokerEvents.reduce((sum, event) => sum + (event.type === 'resent' ? event.count : 0), 0),
    faults: recoveryMs.length,
    recoveryMs,
    growthBytes: memory.growthBytes(),
  };
  publishFigures(figures);
  expect(ledger.breaches()).toEqual([]);
  expect(unfinished).toBe(0);
  expect(figures.growthBytes).toBeLessThan(MAX_GROWTH_BYTES);
  expectNoSecret(plan.address, [...brokerEvents, ...consumerEvents, ...output]);
  return figures;
}

function queueOf({ backend, queue, queueOptions }: LedgerPlan): Queue<Grain> {
  return defineQueue(queue, grain, {
    ...(backend === 'quorum' || backend === 'classic' ? { type: backend } : {}),
    // Messages of killed processes come back more often than a poisonous one would be let.
    ...(backend === 'classic' ? {} : { deliveryLimit: 1000 }),
    ...queueOptions,
  });
}
