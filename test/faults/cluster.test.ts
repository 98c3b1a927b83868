import { expect, it } from 'vitest';
import { canStartOwnBroker, startOwnCluster, uniqueName } from '../support/broker.js';
import type { BrokerContainer } from '../support/containers/broker-container.js';
import { runLedger } from './ledger/ledger.js';
import { secretUser } from './secret-user.js';
import { size } from './size.js';

const MESSAGES = size(4000, 50_000);
const KILLS = size(1, 3);

it(`a cluster whose leaders are killed, ${KILLS} one after the other, loses nothing: clients go on elsewhere`, async (context) => {
  context.skip(!canStartOwnBroker(), 'needs Docker, not the broker of TEST_AMQP_URL');
  const cluster = await startOwnCluster();
  const first = new URL(await secretUser(cluster.nodes[0]));
  const address = cluster.amqpUrls.map(
    (url) => Object.assign(new URL(first), { host: new URL(url).host }).href,
  );
  const queue = uniqueName('cluster');
  await runLedger(
    {
      fault: 'leader of a cluster killed (SIGKILL)',
      backend: 'quorum',
      address,
      queue,
      messages: MESSAGES,
      // A node takes its time to come back, and the ledger of all that could be sent meanwhile take memory, too.
      handlerMs: 30,
    },
    async ({ handled, strike, inspector, brokerEvents }) => {
      const killed: BrokerContainer[] = [];
      for (let kill = 0; kill < KILLS; kill++) {
        await cluster.untilWhole(queue);
        let victim = await cluster.leaderOf(queue);
        if (killed.includes(victim)) {
          victim = cluster.nodes.find((node) => !killed.includes(node)) ?? victim;
          await cluster.lead(queue, victim);
        }
        await handled(Math.floor(MESSAGES / (KILLS + 1)));
        await strike(() => victim.kill());
        killed.push(victim);
        await victim.start();
      }
      await cluster.untilWhole(queue);
      expect(new Set(killed).size).toBe(KILLS);
      const elsewhere = brokerEvents.filter((event) => event.type === 'connected').map(({ url }) => url);
      expect(new Set(elsewhere).size).toBeGreaterThan(1);
      expect(inspector.state).toBe('connected');
    },
  );
});
