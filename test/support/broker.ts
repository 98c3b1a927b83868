import { randomUUID } from 'node:crypto';
import { type ChannelModel, connect } from 'amqplib';
import { afterAll, inject, TestRunner } from 'vitest';
import { type ServerVersion, serverVersion } from '../../src/rabbitmq/connection/server-version.js';
import type { BrokerCluster } from './containers/broker-cluster.js';
import type { BrokerContainer } from './containers/broker-container.js';
import { eventually } from './eventually.js';
import type { TestBroker } from './test-broker.js';

const CONNECT_LIMIT_MS = 30_000;

const openConnections = new Set<ChannelModel>();
const ownBrokers = new Set<BrokerContainer | BrokerCluster>();

afterAll(async () => {
  for (const connection of openConnections) await connection.close();
  for (const broker of ownBrokers) await broker.stop();
});

export function amqpUrl(): string {
  return testBroker().amqpUrl;
}

/** What the version of the broker means for a client. */
export function brokerVersion(): ServerVersion {
  return serverVersion(testBroker().version);
}

/** Without its credentials, which `fetch` refuses in a URL; `managementApi` sends them along. Skips where there is none. */
export function managementUrl(): string {
  return management().url;
}

/** Undefined where there is none. */
export function knownManagementUrl(): string | undefined {
  return testBroker().managementUrl;
}

/** Unique in every test of every run, so that all can share one broker. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 13)}`;
}

/** A connection of amqplib's own, for the other side of a test. Closed at the end of the test file. */
export async function rawConnection(url = amqpUrl()): Promise<ChannelModel> {
  const connection = await connect(url, { timeout: CONNECT_LIMIT_MS });
  openConnections.add(connection);
  connection.on('error', () => {});
  connection.on('close', () => openConnections.delete(connection));
  return connection;
}

/** Whether `rabbitmqctl` works: where TEST_AMQP_URL names the broker, TEST_BROKER_CONTAINER must name its container. */
export function brokerRunsInContainer(): boolean {
  return testBroker().container !== undefined;
}

/** Whether `startOwnBroker` works: not where TEST_AMQP_URL names the broker. */
export function canStartOwnBroker(): boolean {
  return testBroker().more !== undefined;
}

/** Runs `rabbitmqctl` inside the broker's container and returns what it prints. Skips where there is no container. */
export async function rabbitmqctl(...args: string[]): Promise<string> {
  const { container } = testBroker();
  if (container === undefined) return skip('needs rabbitmqctl: set TEST_BROKER_CONTAINER');
  const { rabbitmqctlIn } = await import('./containers/broker-container.js');
  return rabbitmqctlIn(container, args);
}

/**
 * Calls the management API, for example `managementApi('GET', '/api/overview')`, and returns its answer. A test that
 * does so is skipped where there is none.
 */
export async function managementApi(method: string, path: string, body?: unknown): Promise<unknown> {
  const { url, authorization } = management();
  const response = await fetch(new URL(path, url), {
    method,
    headers: { authorization, 'content-type': 'application/json' },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

/**
 * Closes, from the broker's side, all connections whose client calls itself `name` (the client property
 * `connection_name`). Waits until there is at least one, and returns how many there were.
 */
export function closeConnectionsByName(name: string): Promise<number> {
  const close = brokerRunsInContainer() ? closeInContainer : closeThroughManagementApi;
  return eventually(async () => (await close(name)) || false);
}

/**
 * A connection that ends meanwhile is passed over, and so is one that still logs in, which has `none` for properties:
 * an error after the first were closed would have all of this done again, with the connections made since. The
 * management API would show a new connection only with its next statistics, up to five seconds later.
 */
async function closeInContainer(name: string): Promise<number> {
  const closed = await rabbitmqctl(
    'eval',
    `Named = [Pid
      || Pid <- rabbit_networking:connections(),
         [{client_properties, Properties}] <- [catch rabbit_networking:connection_info(Pid, [client_properties])],
         is_list(Properties),
         {<<"connection_name">>, longstr, <<"${name}">>} <- Properties],
     [catch rabbit_networking:close_connection(Pid, "closed by a test") || Pid <- Named],
     length(Named).`,
  );
  return Number(closed);
}

/** One that has ended since the statistics were made is answered with an error, and passed over too. */
async function closeThroughManagementApi(name: string): Promise<number> {
  const all = (await managementApi('GET', '/api/connections')) as ConnectionInfo[];
  let closed = 0;
  for (const connection of all) {
    if (connection.client_properties?.connection_name !== name) continue;
    const path = `/api/connections/${encodeURIComponent(connection.name)}`;
    closed += await managementApi('DELETE', path).then(
      () => 1,
      () => 0,
    );
  }
  return closed;
}

interface ConnectionInfo {
  readonly name: string;
  readonly client_properties?: { readonly connection_name?: string };
}

/**
 * A second broker, for tests that restart or kill it, which the others must not feel. It takes some seconds to
 * start, and is stopped at the end of the test file.
 */
export async function startOwnBroker(): Promise<BrokerContainer> {
  const { more } = testBroker();
  if (more === undefined)
    throw new Error('a broker of its own needs Docker: run this test without TEST_AMQP_URL');
  const { startBrokerContainer } = await import('./containers/broker-container.js');
  const broker = await startBrokerContainer(more.image, more.owner);
  ownBrokers.add(broker);
  return broker;
}

/** A cluster of three, for tests that kill its nodes. Stopped at the end of the test file. */
export async function startOwnCluster(): Promise<BrokerCluster> {
  const { more } = testBroker();
  if (more === undefined) throw new Error('a cluster needs Docker: run this test without TEST_AMQP_URL');
  const { startBrokerCluster } = await import('./containers/broker-cluster.js');
  const cluster = await startBrokerCluster(more.image, more.owner);
  ownBrokers.add(cluster);
  return cluster;
}

function management(): { url: string; authorization: string } {
  const { managementUrl } = testBroker();
  if (managementUrl === undefined) return skip('needs the management API: set TEST_MANAGEMENT_URL');
  const url = new URL(managementUrl);
  const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return { url: url.href, authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
}

/** Skips the test that runs, where one does. */
function skip(reason: string): never {
  TestRunner.getCurrentTest()?.context.skip(reason);
  throw new Error(`this ${reason}`);
}

function testBroker(): TestBroker {
  const broker = inject('broker') as TestBroker | undefined;
  if (broker !== undefined) return broker;
  throw new Error(
    "no broker is started for this file: its path must be one of the project 'broker' (vitest.config.ts)",
  );
}
