import { afterAll, describe, expect, it } from 'vitest';
import type { BrokerEvent } from '../../src/index.js';
import { uniqueName } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { removeQueues } from '../support/remove-queues.js';
import { brokerBehindProxy } from './ledger/addresses.js';
import { type LedgerPlan, runLedger, type Scene } from './ledger/ledger.js';
import { size } from './size.js';

const prefix = uniqueName('link-frozen');
const HEARTBEAT_SECONDS = 1;
const TIMES = size(1, 5);

/** Whether an established connection was lost: failed attempts to connect emit the same event. */
const isLoss = (event: BrokerEvent): boolean =>
  event.type === 'disconnected' && !event.reason.message.startsWith('no broker answered');

afterAll(() => removeQueues(prefix));

describe.each(['quorum', 'classic'] as const)('a link to a %s queue', (backend) => {
  const plan = (fault: string, addresses: Pick<LedgerPlan, 'address' | 'directAddress'>): LedgerPlan => ({
    fault,
    backend,
    ...addresses,
    queue: `${prefix}-${fault.replaceAll(/\W+/g, '-')}-${backend}`,
    messages: size(1000, 10_000),
    connectOptions: { heartbeatMs: HEARTBEAT_SECONDS * 1000, connectTimeoutMs: 2000 },
  });
  /** The links that work now, and those that have been lost since this was made. */
  const linksOf = ({ brokers, brokerEvents }: Scene) => {
    const count = (isOne: (event: BrokerEvent) => boolean) => (link: 'publish' | 'consume') =>
      brokerEvents.filter((event) => 'connection' in event && event.connection === link && isOne(event))
        .length;
    const losses = count(isLoss);
    const connects = count(({ type }) => type === 'connected');
    const before = { publish: losses('publish'), consume: losses('consume') };
    return {
      /** Producers have both links, consumers have made none to publish yet. */
      allConnected: () =>
        connects('publish') - losses('publish') >= 2 &&
        connects('consume') - losses('consume') >= brokers.length,
      allLost: () =>
        losses('publish') - before.publish >= 2 && losses('consume') - before.consume >= brokers.length,
      someLost: () => losses('publish') + losses('consume') > before.publish + before.consume,
    };
  };

  it('that is frozen, with no end and no reset, is found by its heartbeats, and another one goes on', async () => {
    const { proxy, ...addresses } = await brokerBehindProxy();
    const foundMs: number[] = [];
    const reasons: string[] = [];
    await runLedger(plan('link frozen', addresses), async (scene) => {
      for (let time = 0; time < TIMES; time++) {
        await scene.handled(50);
        await scene.strike(async () => {
          const links = linksOf(scene);
          await eventually(links.allConnected, { timeoutMs: 60_000 });
          const before = scene.brokerEvents.length;
          proxy.freeze();
          const begin = performance.now();
          await eventually(links.allLost, { timeoutMs: 20_000, intervalMs: 5 });
          foundMs.push(performance.now() - begin);
          for (const event of scene.brokerEvents.slice(before)) {
            if (event.type === 'disconnected' && isLoss(event)) reasons.push(event.reason.message);
          }
          proxy.thaw();
        });
      }
    });
    process.stderr.write(`found after ${foundMs.map(Math.round).join(', ')} ms\n`);
    // Nothing else than the heartbeats: within three intervals, on a machine whose timers are in time.
    for (const reason of reasons) expect(reason).toMatch(/heartbeat/i);
  });

  it.each(['to-broker', 'to-client'] as const)(
    'that loses all bytes %s is found by the side that hears nothing, and another one goes on',
    async (direction) => {
      const { proxy, ...addresses } = await brokerBehindProxy();
      await runLedger(plan(`link half open (nothing passes ${direction})`, addresses), async (scene) => {
        for (let time = 0; time < TIMES; time++) {
          await scene.handled(50);
          await scene.strike(async () => {
            const links = linksOf(scene);
            proxy.halfOpen(direction);
            // The broker gives a client up after two intervals, and looks once an interval.
            await eventually(links.someLost, { timeoutMs: 20_000 });
            proxy.thaw();
          });
        }
      });
    },
  );

  it('that is slow carries everything, slowly', async () => {
    const { proxy, ...addresses } = await brokerBehindProxy();
    const slow = { ...plan('link slow (40 kB/s)', addresses), messages: size(500, 2000) };
    await runLedger(slow, async (scene) => {
      await scene.handled(50);
      await scene.strike(() => proxy.slow(40_000));
      await scene.handled(size(200, 1000));
      await scene.strike(() => proxy.slow(Number.POSITIVE_INFINITY));
      expect(scene.count('disconnected')).toBe(0);
    });
  });
});
