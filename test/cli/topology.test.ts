import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { amqpUrl, brokerVersion, managementApi, managementUrl, uniqueName } from '../support/broker.js';
import { removeQueues } from '../support/remove-queues.js';
import { rawChannel } from './queues.js';
import { millrace } from './spawn-millrace.js';

const MODULE = fileURLToPath(new URL('topology/shop.mjs', import.meta.url));
const unique = uniqueName('cli-topology');
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-topology-'));
let prefixes = 0;

let channel: ConfirmChannel;
beforeAll(async () => {
  channel = await rawChannel();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await removeQueues(unique);
  for (let prefix = 1; prefix <= prefixes; prefix++) {
    for (const name of ['shop', 'shop.unrouted', 'logs'])
      await channel.deleteExchange(`${unique}-${prefix}-${name}`);
  }
});

/** A topology of its own, and the commands on it. */
function newTopology(address: string) {
  const prefix = `${unique}-${++prefixes}`;
  const env = { MILLRACE_URL: address, TEST_PREFIX: prefix };
  const run = (command: string, ...args: readonly string[]) =>
    millrace(['topology', command, ...(command === 'export' ? [] : [MODULE]), ...args], { env });
  return { prefix, run };
}

function linesOf(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe.each([
  ['RabbitMQ', amqpUrl],
  ['a folder', () => `local:${join(folder, 'queues')}`],
])('on %s', (_name, address) => {
  test('apply declares what the module exports, once or twice, and check then finds no differences', async () => {
    const { prefix, run } = newTopology(address());
    const before = await run('check');
    expect(before).toMatchObject({ exitCode: 0, stderr: ' [*] No problems found\n' });
    expect(before.stdout).toContain(`'${prefix}-shop' does not exist yet`);
    const applied = await run('apply');
    expect(applied).toMatchObject({ exitCode: 0, stderr: '' });
    expect(applied.stdout.split('\n').sort()).toEqual([
      '',
      ` [x] Declared the exchange '${prefix}-logs'`,
      ` [x] Declared the exchange '${prefix}-shop'`,
      ` [x] Declared the exchange '${prefix}-shop.unrouted'`,
      ` [x] Declared the queue '${prefix}-legacy', bound to ${prefix}-logs`,
      ` [x] Declared the queue '${prefix}-orders'`,
      ` [x] Declared the queue '${prefix}-shop.billing', bound to ${prefix}-shop order.*`,
      ` [x] Declared the queue '${prefix}-shop.unrouted', bound to ${prefix}-shop.unrouted`,
    ]);
    expect((await run('apply')).exitCode).toBe(0);
    const after = await run('check');
    expect(after).toMatchObject({ exitCode: 0, stderr: ' [*] No problems found\n' });
    expect(after.stdout).toContain(`'${prefix}-shop' matches its definition`);
    expect(after.stdout).toContain(`'${prefix}-shop.billing' matches its definition`);
  });
});

test('apply reports what exists with other properties, and declares the rest: exit code 3', async () => {
  const { prefix, run } = newTopology(amqpUrl());
  await channel.assertExchange(`${prefix}-logs`, 'direct');
  await channel.assertQueue(`${prefix}-orders`, { durable: true, arguments: { 'x-queue-type': 'classic' } });
  const { exitCode, stdout } = await run('apply', '--json');
  expect(exitCode).toBe(3);
  const failed = linesOf(stdout).filter(({ declared }) => declared === false);
  expect(failed.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    `exchange ${prefix}-logs`,
    `queue ${prefix}-legacy`,
    `queue ${prefix}-orders`,
  ]);
  const checked = await run('check');
  expect(checked.exitCode).toBe(1);
  expect(checked.stdout).toMatch(/^fail {2}queue .*-orders' differs: .*x-queue-type is classic there/m);
  expect(checked.stdout).toMatch(/^fail {2}exchange .*-logs.*direct/m);
});

test('check compares bindings if it may use the management API', async () => {
  const { prefix, run } = newTopology(amqpUrl());
  const url = new URL(managementUrl());
  const { username, password } = new URL(amqpUrl());
  Object.assign(url, { username, password });
  expect((await run('apply')).exitCode).toBe(0);
  const good = await run('check', '--management-url', url.href);
  expect(good).toMatchObject({ exitCode: 0, stderr: ' [*] No problems found\n' });
  expect(good.stdout).toContain(`'${prefix}-shop.billing' has '${prefix}-shop' "order.*"`);

  await channel.bindQueue(`${prefix}-shop.billing`, `${prefix}-shop`, 'user.*');
  const leftOver = await run('check', '--management-url', url.href);
  expect(leftOver).toMatchObject({ exitCode: 0, stderr: ' [!] 1 warning\n' });
  expect(leftOver.stdout).toContain(`"user.*", which its definition does not name`);

  await channel.unbindQueue(`${prefix}-shop.billing`, `${prefix}-shop`, 'order.*');
  const missing = await run('check', '--management-url', url.href);
  expect(missing.exitCode).toBe(1);
  expect(missing.stdout).toContain(`lacks '${prefix}-shop' "order.*"`);

  url.password = 'wrong';
  const refused = await run('check', '--management-url', url.href);
  expect(refused.exitCode).toBe(77);
  expect(refused.stderr).not.toContain('wrong');
});

test('what export writes can be imported, and is what apply would declare', async () => {
  const { prefix, run } = newTopology(amqpUrl());
  const file = join(folder, 'definitions.json');
  const { exitCode, stdout } = await run('export', file, MODULE, '--for', brokerVersion().text);
  expect({ exitCode, stdout }).toEqual({
    exitCode: 0,
    stdout: ` [x] Wrote 3 exchanges, 7 queues, 3 bindings to ${file}\n`,
  });
  const definitions = JSON.parse(readFileSync(file, 'utf8'));
  expect(definitions.bindings).toContainEqual({
    source: `${prefix}-shop`,
    vhost: '/',
    destination: `${prefix}-shop.billing`,
    destination_type: 'queue',
    routing_key: 'order.*',
    arguments: {},
  });
  await managementApi('POST', '/api/definitions', definitions);
  expect(await run('apply')).toMatchObject({ exitCode: 0, stderr: '' });
  expect((await run('export', '-', MODULE, '--for', brokerVersion().text)).stdout).toBe(
    readFileSync(file, 'utf8'),
  );
});

test.each([
  ['a module that does not exist', ['check', './nothing.mjs'], 2, 'there is no topology module'],
  ['a module without any definition', ['apply', 'test/cli/doctor/no-queues.mjs'], 78, 'exports no queue'],
  ['a file that cannot be written', ['export', '/nothing/x.json', MODULE], 78, 'ENOENT'],
  ['queues in memory', ['apply', MODULE, '-u', 'local:'], 2, 'needs a folder'],
  ['a broker that is away', ['check', MODULE, '-u', 'amqp://127.0.0.1:1'], 69, 'ECONNREFUSED'],
])('topology with %s is refused', async (_what, args, exitCode, text) => {
  const ended = await millrace(['topology', ...args], { env: { TEST_PREFIX: `${unique}-none` } });
  expect(ended).toMatchObject({ exitCode, stdout: '' });
  expect(ended.stderr).toContain(text);
});
