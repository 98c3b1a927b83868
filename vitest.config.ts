import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

// `npx vitest run --project NAME` runs one of these alone. What no other project takes belongs to `unit`, which needs
// neither Docker nor a second process and takes seconds.

/** Tests that start processes, or wait for disks or for delays to pass: the examples, the contract, the disk queue and its kill ledger. */
const processes = [
  'test/**/*.process.test.ts',
  'test/contract/disk.test.ts',
  'test/contract/memory.test.ts',
  'test/examples/**/*.test.ts',
  'test/cli/local/**/*.test.ts',
  'test/local-queue/disk/**/*.test.ts',
];

/** Memory stays flat while a slow consumer is fed with up to a million messages, each case in a process of its own. */
const memory = ['test/memory/**/*.test.ts'];

/** Tests that need RabbitMQ. */
const broker = [
  'test/**/*.broker.test.ts',
  'test/rabbitmq/**/*.test.ts',
  'test/contract/rabbitmq.test.ts',
  'test/cli/*.test.ts',
  'test/cli/commands/**/*.test.ts',
  'test/readme/**/*.test.ts',
];

/** The fault laboratory. `npm run test:faults` runs it in full, `npm test` in a small size. */
const faults = ['test/faults/**/*.test.ts'];

/** Random operations under random faults. `npm test` repeats fixed seeds, `npm run test:ledger` draws fresh ones. */
const ledger = ['test/random-ledger/**/*.test.ts'];

/**
 * V8 lets short-lived garbage pile up, to a size that differs between its versions: with little room for it, what a
 * ledger measures is what is held.
 */
const eagerCollection = ['--max-semi-space-size=8'];

/**
 * Files that take minutes, the longest first. They begin first: a fresh clone knows no times of earlier runs, vitest then
 * begins with the files of most bytes, and these have few. Begun last, one of them has the others' workers wait for it.
 */
const longest = [
  'test/contract/rabbitmq.test.ts',
  'test/random-ledger/rabbitmq.test.ts',
  'test/contract/rabbitmq-latency.broker.test.ts',
  'test/contract/disk.test.ts',
  'test/contract/rabbitmq-delayed.broker.test.ts',
  'test/contract/rabbitmq-plain.broker.test.ts',
  'test/contract/rabbitmq-classic.broker.test.ts',
  'test/contract/memory.test.ts',
  'test/hostile/hostile.process.test.ts',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = longest.findIndex((file) => moduleId.endsWith(`/${file}`));
      return index === -1 ? longest.length : index;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

const withBroker = ['test/support/global-setup.ts'];

export default defineConfig({
  test: {
    pool: 'forks',
    // Two more than there are cores: the files that talk to the broker wait most of their time.
    maxWorkers: Math.min(availableParallelism() + 2, 8),
    // Waits within the tests have shorter limits and say what did not come: these only end what hangs, on any machine.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './test/support/amounts-reporter.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...processes, ...memory, ...broker, ...faults, ...ledger],
          setupFiles: ['test/support/no-processes.ts'],
        },
      },
      {
        extends: true,
        // Concurrent cases of these wait for processes that wait themselves.
        test: { name: 'processes', include: processes, exclude: broker, maxConcurrency: 36 },
      },
      {
        extends: true,
        // How long it takes depends on the machine alone: the process that is measured ends by itself when it stalls.
        test: { name: 'memory', include: memory, globalSetup: withBroker, testTimeout: 0 },
      },
      {
        extends: true,
        test: { name: 'broker', include: broker, exclude: memory, globalSetup: withBroker },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          include: faults,
          globalSetup: withBroker,
          testTimeout: 300_000,
          execArgv: eagerCollection,
        },
      },
      {
        extends: true,
        test: {
          name: 'ledger',
          include: ledger,
          globalSetup: withBroker,
          // A failing sequence is shortened before the test ends.
          testTimeout: 900_000,
          execArgv: eagerCollection,
        },
      },
    ],
  },
});
