import { beforeAll, describe, expect, it } from 'vitest';
import { canStartOwnBroker, startOwnBroker, uniqueName } from '../support/broker.js';
import type { BrokerContainer } from '../support/containers/broker-container.js';
import { eventually } from '../support/eventually.js';
import { runLedger, type Scene } from './ledger/ledger.js';
import { secretUser } from './secret-user.js';
import { size } from './size.js';

const MESSAGES = size(4000, 50_000);
const STRIKES = size(1, 3);

let container: BrokerContainer;
let address: string;

// Of this file's own: nobody else's tests shall feel what is done to it.
beforeAll(async () => {
  if (!canStartOwnBroker()) return;
  container = await startOwnBroker();
  address = await secretUser(container);
}, 120_000);

/** Long enough for each client to find it out by its heartbeat. */
async function pause({ brokers }: Scene): Promise<void> {
  await container.pause();
  await eventually(() => brokers.every(({ state }) => state === 'connecting'), { timeoutMs: 30_000 });
  await container.unpause();
}

const faults: [string, (scene: Scene) => Promise<void>][] = [
  ['restarted', () => container.restart()],
  ['killed (SIGKILL)', () => container.crash()],
  ['paused', pause],
];

describe.skipIf(!canStartOwnBroker()).each(['quorum', 'classic'] as const)(
  'a broker with a %s queue',
  (backend) => {
    it.each(faults)('that is %s in the middle of messages loses none', async (name, fault) => {
      const queue = uniqueName('broker-gone');
      await runLedger(
        {
          fault: `broker ${name}`,
          backend,
          address,
          queue,
          messages: MESSAGES,
          connectOptions: { heartbeatMs: 1000 },
        },
        async (scene) => {
          // What a new quorum queue is called is on disk only some seconds later, and without it its messages are lost.
          await container.rabbitmqctl('eval', '[dets:sync(Table) || Table <- dets:all()].');
          for (let strike = 0; strike < STRIKES; strike++) {
            await scene.handled(Math.floor(MESSAGES / (STRIKES + 1)));
            await scene.strike(() => fault(scene));
          }
          expect(scene.count('disconnected')).toBeGreaterThanOrEqual(STRIKES * scene.brokers.length);
        },
      );
    });
  },
);
