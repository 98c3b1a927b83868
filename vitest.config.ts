import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// What needs a RabbitMQ. All the rest runs without Docker: `npx vitest run --project unit`.
const withBroker = [
  'test/**/*.broker.test.ts',
  'test/rabbitmq/**/*.test.ts',
  'test/contract/rabbitmq.test.ts',
  'test/cli/**/*.test.ts',
  'test/readme/**/*.test.ts',
];

/** The fault laboratory. `npm run test:faults` runs it in full, `npm test` in a small size. */
const faults = ['test/faults/**/*.test.ts'];

export default defineConfig({
  test: {
    pool: 'forks',
    // One more than there are cores: the files that talk to the broker wait most of their time.
    maxWorkers: Math.min(availableParallelism() + 1, 6),
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: [...withBroker, ...faults] },
      },
      {
        extends: true,
        test: { name: 'broker', include: withBroker, globalSetup: ['test/support/global-setup.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          include: faults,
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 300_000,
          // V8 lets garbage of short life pile up, to a size that differs between its versions: with little room for
          // it, what the ledger measures is what is held.
          execArgv: ['--max-semi-space-size=8'],
        },
      },
    ],
  },
});
