import { afterAll, describe, expect, it } from 'vitest';
import { uniqueName } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { removeQueues } from '../../support/remove-queues.js';
import { addressOf } from '../ledger/addresses.js';
import { size } from '../size.js';
import { closingBroker, openFanOut } from './fan-out.js';

const prefix = uniqueName('fan-out-full');
const ROUNDS = size(3, 30);
/** In a round, at most. */
const EVENTS = 1000;
const CHAFFS = 50;
const LIMIT_MS = 120_000;

afterAll(() => removeQueues(prefix));

describe.each(['quorum', 'local:', 'local:./folder'] as const)('a full subscription (%s)', (backend) => {
  it(`harms no other, ${ROUNDS} times: what it refuses is not sent again, or stored nowhere`, async () => {
    const address = await addressOf(backend);
    // What is in memory belongs to one broker.
    const shared = backend === 'local:' ? connect(address) : undefined;
    const open = closingBroker(() => shared ?? connect(address));
    const { branches, publish, finish } = await openFanOut(
      `${prefix}-${backend.replaceAll(/\W/g, '')}`,
      open,
      { all: { to: ['grain', 'chaff'] }, full: { to: ['grain'], capacity: 5 }, chaff: { to: ['chaff'] } },
    );
    const { all, full, chaff } = branches;
    if (all === undefined || full === undefined || chaff === undefined) throw new Error('no such branch');
    for (const { consumer } of [all, full, chaff]) await consumer.start();
    const signal = AbortSignal.timeout(LIMIT_MS);
    // RabbitMQ refuses at once; an event that waits for its turn must reach it even on a slow machine. Others wait for room.
    const limitMs = backend === 'quorum' ? LIMIT_MS : 1000;
    const refusals: (string | undefined)[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await full.consumer.pause();
      let number = round * EVENTS;
      // Quorum queues take some more than their capacity, and refuse only what comes later.
      let refused: string | undefined;
      while (refused === undefined) {
        refused = await publish('grain', number++, limitMs);
        refusals.push(refused);
      }
      const grains = Array.from({ length: 50 }, () => publish('grain', number++, limitMs));
      // Those behind grains that wait, wait as well.
      const chaffs = Array.from({ length: CHAFFS }, (_, index) => publish('chaff', round * CHAFFS + index));
      refusals.push(...(await Promise.all(grains)));
      expect(await Promise.all(chaffs)).toEqual(Array(CHAFFS).fill(undefined));
      await full.consumer.resume();
      await full.ledger.until(() => full.ledger.missing.length === 0, signal);
      // With room it is as before; a quorum queue may take a moment to notice.
      do refused = await publish('grain', number++);
      while (refused !== undefined && !signal.aborted);
    }
    // Where copies are stored one by one, a refusal leaves the others theirs.
    if (backend === 'quorum') await all.ledger.until(() => all.ledger.handled === all.ledger.begun, signal);
    await finish(signal);
    const expected = backend === 'quorum' ? 'UNCONFIRMED' : 'TIMEOUT';
    expect(new Set(refusals)).toEqual(new Set([undefined, expected]));
    // None was published again by itself.
    expect(all.ledger.duplicates).toBe(0);
    if (backend !== 'quorum') expect(all.ledger.handled).toBe(all.ledger.count('confirmed'));
  });
});
