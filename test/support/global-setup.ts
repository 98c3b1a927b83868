import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { connect } from 'amqplib';
import type { TestProject } from 'vitest/node';
import { chooseBrokerImage } from './containers/broker-image.js';
import {
  ownerOfThisRun,
  removeContainersOf,
  removeContainersOnSignal,
  removeLeftovers,
} from './containers/container-owner.js';
import { configureTestcontainers, ensureDocker } from './containers/docker-engine.js';
import { NO_BROKER, noBroker } from './no-broker.js';
import type { TestBroker } from './test-broker.js';

const CONNECT_LIMIT_MS = 30_000;

/** Finds or starts the one RabbitMQ that all test files of the run share. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  shared.users++;
  shared.broker ??= findOrStart();
  const { broker, stop } = await shared.broker;
  project.provide('broker', broker);
  return async () => {
    shared.users--;
    if (shared.users === 0) await stop();
  };
}

function findOrStart(): Promise<BrokerOfRun> {
  // Never AMQP_URL: that may be somebody's production.
  const given = process.env.TEST_AMQP_URL;
  return (given ? brokerAt(given) : brokerInContainer()).catch(endRun);
}

interface BrokerOfRun {
  readonly broker: TestBroker;
  readonly stop: () => Promise<void>;
}

/** Each project of the run loads this module for itself, into the same process. */
const SHARED = Symbol.for('millrace.test-broker');
const everywhere: typeof globalThis & { [SHARED]?: { users: number; broker?: Promise<BrokerOfRun> } } =
  globalThis;
everywhere[SHARED] ??= { users: 0 };
const shared = everywhere[SHARED];

async function brokerAt(amqpUrl: string): Promise<BrokerOfRun> {
  const version = await versionOf(amqpUrl).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw noBroker(`TEST_AMQP_URL is set, but nothing can be reached there (${reason})`);
  });
  const { TEST_MANAGEMENT_URL: managementUrl, TEST_BROKER_CONTAINER: container } = process.env;
  const broker: TestBroker = { amqpUrl, version, managementUrl, container, more: undefined };
  return { broker, stop: async () => {} };
}

async function versionOf(amqpUrl: string): Promise<string> {
  const connection = await connect(amqpUrl, { timeout: CONNECT_LIMIT_MS });
  connection.on('error', () => {});
  const { version } = connection.connection.serverProperties;
  // The answer may never come, and is of no interest.
  await Promise.race([connection.close(), delay(CONNECT_LIMIT_MS, undefined, { ref: false })]);
  return version;
}

async function brokerInContainer(): Promise<BrokerOfRun> {
  const begin = performance.now();
  await ensureDocker();
  const image = await chooseBrokerImage(report);
  await configureTestcontainers(report);
  // Not at the top: testcontainers is slow to load, and reads at that moment what was configured.
  const { startBrokerContainer } = await import('./containers/broker-container.js');
  await removeLeftovers(report);
  const owner = ownerOfThisRun();
  removeContainersOnSignal(owner);
  const container = await startBrokerContainer(image, owner).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw noBroker(`a container of '${image}' did not start (${reason})`);
  });
  report(`${image} runs after ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  const { id, amqpUrl, managementUrl } = container;
  const version = await versionOf(amqpUrl);
  return {
    broker: { amqpUrl, version, managementUrl, container: id, more: { image, owner } },
    stop: async () => {
      await container.stop();
      await removeContainersOf(owner);
    },
  };
}

/**
 * Nothing runs without the broker. Thrown, the error would come with a stack, and after a line of vitest's that there
 * are no test files.
 */
function endRun(error: unknown): never {
  const expected = error instanceof Error && error.name === NO_BROKER;
  process.stderr.write(`\n${expected ? error.message : inspect(error)}\n`);
  process.exit(1);
}

function report(line: string): void {
  process.stderr.write(`test broker: ${line}\n`);
}
