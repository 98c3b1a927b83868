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

export default defineConfig({
  test: {
    pool: 'forks',
    // One more than there are cores: the files that talk to the broker wait most of their time.
    maxWorkers: Math.min(availableParallelism() + 1, 6),
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: withBroker },
      },
      {
        extends: true,
        test: { name: 'broker', include: withBroker, globalSetup: ['test/support/global-setup.ts'] },
      },
    ],
  },
});
