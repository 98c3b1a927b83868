import { afterAll, describe, expect, it } from 'vitest';
import type { QueueOptions } from '../../src/queue.js';
import { uniqueName } from '../support/broker.js';
import { eventually } from '../support/eventually.js';
import { removeQueues } from '../support/remove-queues.js';
import { addressOf } from './ledger/addresses.js';
import { type LedgerPlan, runLedger } from './ledger/ledger.js';
import type { Grain } from './ledger/senders.js';
import { size } from './size.js';

const prefix = uniqueName('queue-full');
const LIMIT = 60;
const TIMES = size(2, 10);

afterAll(() => removeQueues(prefix));

const ours: QueueOptions<Grain> = { capacity: LIMIT };
/** Of which the toolkit knows nothing: it meets the refusals alone. */
const theirs: QueueOptions<Grain> = {
  arguments: { 'x-max-length': LIMIT, 'x-overflow': 'reject-publish' },
};

describe.each([
  ['quorum', 'its capacity', ours],
  ['classic', 'its capacity', ours],
  ['local:', 'its capacity', ours],
  ['local:./folder', 'its capacity', ours],
  ['quorum', 'a limit of the broker', theirs],
  ['classic', 'a limit of the broker', theirs],
] as const)('a queue (%s) at %s', (backend, by, queueOptions) => {
  it('makes sends wait, and they go on when there is room', async () => {
    let opened = Promise.resolve();
    let open = () => {};
    const plan: LedgerPlan = {
      fault: `queue full, by ${by}`,
      backend,
      address: await addressOf(backend),
      queue: `${prefix}-${by.replaceAll(' ', '-')}-${backend.replaceAll(/\W/g, '')}`,
      queueOptions,
      messages: size(1000, 10_000),
      prefetch: 10,
      handler: () => opened,
    };
    await runLedger(plan, async ({ strike, handled, ledger, inspector }) => {
      for (let time = 0; time < TIMES; time++) {
        await handled(100);
        await strike(async () => {
          opened = new Promise((resolve) => {
            open = resolve;
          });
          const { ready } = await eventually(
            async () => {
              // All lanes wait, and nothing was refused for good.
              expect(ledger.sending).toBe(100);
              const before = ledger.begun;
              const stats = await inspector.inspect(plan.queue);
              expect(ledger.begun).toBe(before);
              expect(stats.ready).toBeGreaterThan(LIMIT / 2);
              return stats;
            },
            { timeoutMs: 20_000, intervalMs: 200 },
          );
          // A quorum queue takes some more before its refusals arrive.
          expect(ready).toBeLessThan(LIMIT + 100);
          open();
        });
      }
    });
  });
});
