import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineSubscription } from '../../../src/topics/subscription.js';
import { defineTopic } from '../../../src/topics/topic.js';
import { amqpUrl, brokerVersion, managementApi, managementUrl, uniqueName } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { removeQueues } from '../../support/remove-queues.js';
import { rawChannel } from '../support/queues.js';
import { millrace } from '../support/spawn-millrace.js';

const MODULE = fileURLToPath(new URL('topology/shop.mjs', import.meta.url));
const HEADERS_MODULE = fileURLToPath(new URL('topology/headers.mjs', import.meta.url));
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

/** Without a user, since `topology` uses that of the broker's address. */
function managementFlag(): string[] {
  return ['--management-url', managementUrl()];
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
    expect(before.exitCode).toBe(4);
    const missing = before.stdout.match(/^fail .* does not exist; millrace topology apply creates it$/gm);
    // 3 exchanges, 4 queues, and the dead-letter queues of 3 of them.
    expect(missing).toHaveLength(10);
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
    const after = await run('check', ...managementFlag());
    expect(after).toMatchObject({ exitCode: 0, stderr: ' [*] No problems found\n' });
    expect(after.stdout).toContain(`'${prefix}-shop' matches its definition`);
    expect(after.stdout).toContain(`'${prefix}-shop.billing' matches its definition`);
  });
});

describe.each([
  ['RabbitMQ', amqpUrl],
  ['a folder', () => `local:${join(folder, 'left-over')}`],
])('on %s', (_name, address) => {
  test("the queue that unrouted: 'keep' has left is reported, and removed by apply once it is empty", async () => {
    const { prefix } = newTopology(address());
    const env = { MILLRACE_URL: address(), TEST_PREFIX: prefix, TEST_UNROUTED: 'ignore' };
    const run = (...command: readonly string[]) => millrace([...command, MODULE], { env });
    const kept = defineTopic(`${prefix}-shop`, { 'order.placed': z.unknown() }, { unrouted: 'keep' });
    const { unroutedQueue } = kept;
    if (unroutedQueue === undefined) throw new Error('the topic has no queue for what is not routed');
    const { name } = unroutedQueue;
    await using broker = await connect(address());
    await broker.declare(unroutedQueue);
    const message = { id: 'kept', contentType: '', headers: {}, body: 'kept' };
    await broker.publish({ exchange: '', routingKey: name }, message);
    await eventually(async () => (await broker.inspect(name)).ready === 1);

    expect((await run('topology', 'apply')).stdout).not.toContain(name);
    const full = await run('topology', 'check');
    expect(full.exitCode).toBe(0);
    expect(full.stdout).toMatch(/^warn {2}left over .*-shop\.unrouted' .*1 message.* once it is empty/m);

    await broker.purge(name);
    expect((await run('doctor')).stdout).toMatch(/^warn {2}left over .*topology apply removes it$/m);
    const applied = await run('topology', 'apply');
    expect(applied).toMatchObject({ exitCode: 0, stderr: '' });
    expect(applied.stdout).toContain(` [x] Removed the queue '${name}'\n`);
    expect((await run('topology', 'check')).stdout).not.toContain('left over');
    await rejection(broker.inspect(name), 'QUEUE_MISSING');
  });
});

describe.each([
  ['RabbitMQ', amqpUrl],
  ['a folder', () => `local:${join(folder, 'removed')}`],
])('on %s', (_name, address) => {
  test("unrouted: 'keep' is changed by removing the exchange, and applying the new definition", async () => {
    const { prefix } = newTopology(address());
    const run = (unrouted: string, ...command: readonly string[]) =>
      millrace(command, {
        env: { MILLRACE_URL: address(), TEST_PREFIX: prefix, TEST_UNROUTED: unrouted },
      });
    const publish = (event: string) => run('', 'publish', event, '{}', '-t', `${prefix}-shop`);
    await run('keep', 'topology', 'apply', MODULE);
    expect((await publish('nobody.wants')).exitCode).toBe(0);
    expect((await publish('order.placed')).exitCode).toBe(0);
    const refused = await run('ignore', 'topology', 'apply', MODULE);
    expect(refused.stderr).toMatch(/alternate/);
    expect(refused.stderr).toContain(`millrace remove -e ${prefix}-shop`);

    const name = ['remove', '-e', `${prefix}-shop`];
    expect((await run('', ...name)).stderr).toContain(`the exchange '${prefix}-shop' and the bindings to it`);
    expect((await run('', ...name, '--dry-run')).stderr).toMatch(/ \[\*\] Would remove /);
    expect((await run('', ...name, '--force', '--json')).stdout).toBe(
      `{"exchange":"${prefix}-shop","removed":true}\n`,
    );
    expect(await run('', ...name, '--force')).toMatchObject({ exitCode: 4 });

    expect(await run('ignore', 'topology', 'apply', MODULE)).toMatchObject({ exitCode: 0, stderr: '' });
    expect((await publish('order.placed')).exitCode).toBe(0);
    await using broker = await connect(address());
    await eventually(async () => (await broker.inspect(`${prefix}-shop.billing`)).ready === 2);
    expect(await broker.inspect(`${prefix}-shop.unrouted`)).toMatchObject({ ready: 1 });
    expect((await publish('nobody.wants')).stderr).toMatch(/no subscription/);
  });
});

test.each([
  [['remove'], 2, /name of a queue, or --exchange/],
  [['remove', 'orders', '-e', 'shop'], 2, /name of a queue, or --exchange/],
  [['remove', '-e', 'amq.topic', '--force'], 2, /belongs to the broker/],
  [['remove', '-e', 'nothing', '--force'], 4, /there is no exchange/],
  [['remove', '-e', 'nothing', '--force', '-u', 'local:/nothing'], 4, /there is no exchange/],
] as const)('millrace %j is refused', async (args, exitCode, text) => {
  await using broker = await connect(`local:${join(folder, 'refused')}`);
  const ended = await millrace([...args], { env: { MILLRACE_URL: broker.url } });
  expect(ended).toMatchObject({ exitCode, stdout: '' });
  expect(ended.stderr).toMatch(text);
});

test.each(['topology check', 'doctor'])(
  '%s refuses an exchange of type headers that is not there on a local broker, be it empty or not',
  async (command) => {
    const empty = command === 'doctor' ? 'local:' : `local:${join(folder, 'no-headers')}`;
    for (const address of [empty, `local:${join(folder, 'queues')}`]) {
      const { exitCode, stdout } = await millrace([...command.split(' '), HEADERS_MODULE], {
        env: { MILLRACE_URL: address },
      });
      expect(stdout).toMatch(/^fail {2}exchange .*"sorted".* type 'headers', which only RabbitMQ supports/m);
      expect(exitCode).not.toBe(0);
    }
  },
);

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

test('check says that it did not compare bindings without the management API', async () => {
  const { run } = newTopology(amqpUrl());
  expect((await run('apply')).exitCode).toBe(0);
  const checked = await run('check');
  expect(checked).toMatchObject({ exitCode: 0, stderr: ' [!] 1 warning\n' });
  expect(checked.stdout).toMatch(/^warn {2}bindings +not compared.*--management-url/m);
});

describe.each([
  ['RabbitMQ', amqpUrl],
  ['a folder', () => `local:${join(folder, 'bindings')}`],
])('on %s', (_name, address) => {
  test.each(['topology check', 'doctor'])(
    '%s finds bindings that are missing or left over',
    async (command) => {
      const { prefix, run } = newTopology(address());
      expect((await run('apply')).exitCode).toBe(0);
      const check = () =>
        millrace([...command.split(' '), MODULE, ...managementFlag()], {
          env: { MILLRACE_URL: address(), TEST_PREFIX: prefix },
        });
      const good = await check();
      expect(good.exitCode).toBe(0);
      expect(good.stdout).toContain(`'${prefix}-shop.billing' has '${prefix}-shop' "order.*"`);
      expect(good.stdout).not.toMatch(/^(warn|fail) {2}bindings/m);

      // What another version of the program declares.
      const shop = defineTopic(`${prefix}-shop`, { 'order.placed': z.unknown() }, { unrouted: 'keep' });
      const broker = await connect(address());
      const redeclare = (options: { to: 'order.placed'[]; unbind?: string[] }) =>
        broker.declare(defineSubscription(shop, 'billing', options).spec);
      await redeclare({ to: ['order.placed'] });
      const leftOver = await check();
      expect(leftOver.exitCode).toBe(0);
      expect(leftOver.stdout).toMatch(
        /^warn {2}bindings .*"order\.placed", which its definition does not name/m,
      );

      await redeclare({ to: ['order.placed'], unbind: ['order.*'] });
      await broker.close();
      const missing = await check();
      expect(missing.exitCode).toBe(1);
      expect(missing.stdout).toMatch(/^fail {2}bindings .*lacks .*"order\.\*"/m);
    },
  );
});

test('check needs a user that the management API accepts, and does not show the password', async () => {
  const { run } = newTopology(amqpUrl());
  expect((await run('apply')).exitCode).toBe(0);
  const url = new URL(managementUrl());
  Object.assign(url, { username: 'guest', password: 's3cret' });
  const refused = await run('check', '--management-url', url.href);
  expect(refused.exitCode).toBe(77);
  expect(refused.stdout).toMatch(/^fail {2}bindings .*refuses the user 'guest'/m);
  expect(refused.stdout + refused.stderr).not.toContain('s3cret');
  const away = await run('check', '--management-url', 'http://127.0.0.1:1');
  expect(away.exitCode).toBe(69);
  const wrong = await run('check', '--management-url', 'amqp://guest:s3cret@x');
  expect(wrong.exitCode).toBe(2);
  expect(wrong.stderr).not.toContain('s3cret');
});

test('check creates neither a folder nor a store in one', async () => {
  const missing = join(folder, 'missing');
  const { run } = newTopology(`local:${missing}`);
  expect((await run('check')).exitCode).toBe(4);
  expect(existsSync(missing)).toBe(false);
  mkdirSync(missing, { mode: 0o700 });
  expect((await run('check')).exitCode).toBe(4);
  expect(readdirSync(missing)).toEqual([]);
});

test.each([
  ['RabbitMQ', 'quorum', amqpUrl, 'refuses messages published'],
  ['RabbitMQ', 'classic', amqpUrl, 'publishers to .* do not'],
  ['a folder', 'quorum', () => `local:${join(folder, 'bounded')}`, 'publishers to .* wait'],
])(
  'doctor says what a bounded queue behind an exchange does to publishers: %s, %s',
  async (_name, type, address, does) => {
    const { prefix, run } = newTopology(address());
    expect((await run('apply')).exitCode).toBe(0);
    const env = { MILLRACE_URL: address(), TEST_PREFIX: prefix, TEST_BOUNDED: type };
    const { stdout } = await millrace(['doctor', MODULE], { env });
    expect(stdout).toMatch(
      new RegExp(`^warn  capacity .*-shop.bounded' has a capacity of 10: .*${does}`, 'm'),
    );
  },
);

test('an export can be imported, and equals the declarations of apply', async () => {
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
  ['a module that does not exist', ['check', './nothing.mjs'], 2, 'there is no module'],
  [
    'a module without any definition',
    ['apply', 'test/cli/commands/doctor/no-queues.mjs'],
    78,
    'exports no queue',
  ],
  ['a file that cannot be written', ['export', '/nothing/x.json', MODULE], 78, 'ENOENT'],
  ['queues in memory', ['apply', MODULE, '-u', 'local:'], 2, 'needs a folder'],
  ['a broker that is away', ['check', MODULE, '-u', 'amqp://127.0.0.1:1'], 69, 'ECONNREFUSED'],
])('topology with %s is refused', async (_what, args, exitCode, text) => {
  const ended = await millrace(['topology', ...args], { env: { TEST_PREFIX: `${unique}-none` } });
  expect(ended).toMatchObject({ exitCode, stdout: '' });
  expect(ended.stderr).toContain(text);
});
