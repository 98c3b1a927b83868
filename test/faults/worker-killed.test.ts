import { afterAll, describe, expect, it } from 'vitest';
import { uniqueName } from '../support/broker.js';
import { removeQueues } from '../support/remove-queues.js';
import { addressOf } from './ledger/addresses.js';
import { type LedgerPlan, runLedger } from './ledger/ledger.js';
import { size } from './size.js';

const prefix = uniqueName('worker-killed');
const KILLS = size(4, 20);

afterAll(() => removeQueues(prefix));

describe.each(['quorum', 'classic', 'local:./folder'] as const)('workers of a queue (%s)', (backend) => {
  it(`that are killed ${KILLS} times in the middle of handlers leave everything to the others`, async () => {
    const plan: LedgerPlan = {
      fault: 'worker process killed (SIGKILL)',
      backend,
      address: await addressOf(backend),
      queue: `${prefix}-${backend.replaceAll(/\W/g, '')}`,
      messages: size(2000, 20_000),
      workers: 2,
      handlerMs: 10,
    };
    let interrupted = 0;
    await runLedger(plan, async ({ strike, handled, workers, startWorker }) => {
      for (let kill = 0; kill < KILLS; kill++) {
        await handled(Math.ceil(Math.random() * 150));
        const victim = workers.at(-2);
        if (victim === undefined) throw new Error('there are two workers at any time');
        await strike(async () => {
          await victim.midway();
          await victim.kill();
          interrupted += victim.busy;
        });
        await startWorker();
      }
    });
    expect(interrupted).toBeGreaterThan(0);
  });
});
