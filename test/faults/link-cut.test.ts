import { afterAll, describe, expect, it } from 'vitest';
import { uniqueName } from '../support/broker.js';
import { removeQueues } from '../support/remove-queues.js';
import { brokerBehindProxy } from './ledger/addresses.js';
import { runLedger } from './ledger/ledger.js';
import { size } from './size.js';

const prefix = uniqueName('link-cut');
const CUTS = size(6, 50);
const OUTAGES = size(1, 10);

/** A greeting of AMQP takes about 700 bytes from the client: a cut after fewer is one in its middle. */
const GREETING_BYTES = 500;

afterAll(() => removeQueues(prefix));

describe.each(['quorum', 'classic'] as const)('a link to a %s queue', (backend) => {
  it(`that is cut ${CUTS} times loses nothing, wherever the cut goes through`, async () => {
    const { proxy, ...addresses } = await brokerBehindProxy();
    const hit = { 'in the greeting': 0, 'before the confirm': 0, 'before the acknowledgement': 0 };
    await runLedger(
      {
        fault: 'link cut',
        backend,
        ...addresses,
        queue: `${prefix}-${backend}`,
        messages: size(2000, 20_000),
        handlerMs: 10,
      },
      async ({ strike, handled, ledger, brokers, consumerEvents, count }) => {
        for (let cut = 1; cut <= CUTS; cut++) {
          await handled(Math.ceil(Math.random() * 150));
          const lostBefore = count('lost');
          const resentBefore = count('resent');
          await strike(async () => {
            await ledger.until(() => ledger.sending > 0, AbortSignal.timeout(30_000));
            proxy.cut();
            // Every second time the new links are cut again while they greet.
            if (cut % 2 === 0) {
              await proxy.resetAfterBytes(Math.ceil(Math.random() * GREETING_BYTES), 'to-broker');
              if (brokers.some(({ state }) => state === 'connecting')) hit['in the greeting']++;
            }
          });
          if (count('resent') > resentBefore) hit['before the confirm']++;
          if (count('lost') > lostBefore) hit['before the acknowledgement']++;
        }
        expect(consumerEvents.filter(({ type }) => type === 'settle-failed')).toEqual([]);
      },
    );
    process.stderr.write(`cuts that went through: ${JSON.stringify(hit)}\n`);
    for (const times of Object.values(hit)) expect(times).toBeGreaterThan(0);
  });

  it('that is down for longer than a send may take yields the right error for each message', async () => {
    const { proxy, ...addresses } = await brokerBehindProxy();
    const { unconfirmed } = await runLedger(
      {
        fault: 'link away for longer than a send may take',
        backend,
        ...addresses,
        queue: `${prefix}-away-${backend}`,
        messages: size(1000, 10_000),
        sendTimeoutMs: 300,
      },
      async ({ strike, handled, ledger }) => {
        for (let outage = 0; outage < OUTAGES; outage++) {
          await handled(100);
          await strike(async () => {
            const unconfirmed = ledger.count('unconfirmed');
            const unsent = ledger.count('not stored');
            // What is sent arrives and no confirm comes back; then nothing can be sent any more.
            proxy.halfOpen('to-client');
            const limit = AbortSignal.timeout(30_000);
            await ledger.until(() => ledger.count('unconfirmed') > unconfirmed, limit);
            await proxy.refuse(true);
            proxy.cut();
            await ledger.until(() => ledger.count('not stored') > unsent, limit);
            proxy.thaw();
            await proxy.refuse(false);
          });
        }
      },
    );
    expect(unconfirmed).toBeGreaterThan(0);
  });
});
