/**
 * The broker to measure on: the one at BENCH_AMQP_URL; otherwise what the tests would use, which is the one at
 * TEST_AMQP_URL or one in a container.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { connect } from 'amqplib';

/**
 * What of test/support/global-setup.ts is used here.
 *
 * @typedef {(project: { provide(key: string, value: { amqpUrl: string }): void }) => Promise<() => Promise<void>>} SetUp
 */

/** Returns its URL, what it says about itself, and how to stop it. */
export async function findBroker() {
  compileTestSupport();
  const { url, stop } = process.env.BENCH_AMQP_URL
    ? { url: process.env.BENCH_AMQP_URL, stop: async () => {} }
    : await brokerOfTheTests();
  const connection = await connect(url, { timeout: 10_000 });
  const { product, version } = connection.connection.serverProperties;
  await connection.close();
  return { url, stop, description: `${product} ${version}` };
}

async function brokerOfTheTests() {
  /** @type {{ default: SetUp }} */
  const { default: setUp } = await import(new URL('../dist/global-setup.js', import.meta.url).href);
  /** @type {{ amqpUrl: string }} */
  let broker;
  const stop = await setUp({
    provide: (_key, value) => {
      broker = value;
    },
  });
  return { url: broker.amqpUrl, stop };
}

/** The tests' own set-up is TypeScript: compiled into `dist`, from where it finds the project's scripts, too. */
function compileTestSupport() {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const tsc = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));
  const options = ['--outDir', 'bench/dist', '--rootDir', 'test/support', '--noEmit', 'false', '--noCheck'];
  const config = [
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--types',
    'node',
    '--skipLibCheck',
    '--ignoreConfig',
  ];
  const sources = ['test/support/global-setup.ts'];
  execFileSync(process.execPath, [tsc, ...config, ...options, ...sources], { cwd: root, stdio: 'inherit' });
}
