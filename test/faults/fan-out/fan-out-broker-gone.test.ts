import { beforeAll, describe, expect, it } from 'vitest';
import { canStartOwnBroker, startOwnBroker, uniqueName } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import type { BrokerContainer } from '../../support/containers/broker-container.js';
import { size } from '../size.js';
import { closingBroker, openFanOut } from './fan-out.js';

const EVENTS = size(600, 10_000);
const STRIKES = size(1, 3);
const LIMIT_MS = 240_000;

let container: BrokerContainer;

// Of this file's own: nobody else's tests shall feel what is done to it.
beforeAll(async () => {
  if (canStartOwnBroker()) container = await startOwnBroker();
}, 120_000);

describe.skipIf(!canStartOwnBroker())('a broker with a topic', () => {
  it.each([
    ['killed (SIGKILL)', () => container.crash()],
    ['restarted', () => container.restart()],
  ] as const)(
    'that is %s in the middle of events loses none, and gives none to the wrong one',
    async (_name, strike) => {
      const options = { heartbeatMs: 1000, reconnect: { initialDelayMs: 20, maxDelayMs: 500 } };
      const { branches, publish, finish } = await openFanOut(
        uniqueName('fan-out-gone'),
        closingBroker(() => connect(container.amqpUrl, options)),
        { one: { to: ['grain', 'chaff'] }, two: { to: ['grain', 'chaff'] }, chaff: { to: ['chaff'] } },
      );
      for (const { consumer } of Object.values(branches)) await consumer.start();
      // What a new quorum queue is called is on disk only some seconds later, and without it its messages are lost.
      await container.rabbitmqctl('eval', '[dets:sync(Table) || Table <- dets:all()].');
      const signal = AbortSignal.timeout(LIMIT_MS);
      for (let number = 0; number < STRIKES; number++) {
        const count = Math.ceil(EVENTS / STRIKES);
        const publishes = Array.from({ length: count }, (_, index) =>
          publish(index % 10 === 0 ? 'chaff' : 'grain', number * count + index),
        );
        const { one } = branches;
        await one?.ledger.until(() => one.ledger.handled > number * count + count / 10, signal);
        await strike();
        await Promise.all(publishes);
      }
      await finish(signal);
      for (const { ledger } of Object.values(branches)) expect(ledger.count('confirmed')).toBe(ledger.begun);
    },
  );
});
