import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { defineQueue, type QueueOptions } from '../../../src/queue.js';
import {
  amqpUrl,
  brokerRunsInContainer,
  brokerVersion,
  rabbitmqctl,
  uniqueName,
} from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { put, queueNames, rawChannel } from '../support/queues.js';
import { Millrace, millrace, type SpawnOptions } from '../support/spawn-millrace.js';

const nextQueue = queueNames('cli-doctor');
const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-doctor-'));
afterAll(() => rmSync(folder, { recursive: true }));
const queueModule = fileURLToPath(new URL('doctor/queues.mjs', import.meta.url));
const noQueueModule = fileURLToPath(new URL('doctor/no-queues.mjs', import.meta.url));
const nobody = 'amqp://127.0.0.1:1';

let channel: ConfirmChannel;
beforeAll(async () => {
  channel = await rawChannel();
});

interface Line {
  readonly check: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly text: string;
  readonly advice?: string;
  readonly [fact: string]: unknown;
}

/** Runs `millrace doctor --json`. */
async function doctor(args: readonly string[], options: SpawnOptions = {}) {
  const env = { MILLRACE_URL: amqpUrl(), ...options.env };
  const ended = await millrace(['doctor', '--json', ...args], { ...options, env });
  const lines = ended.stdout.trim().split('\n');
  const checks: Line[] = lines.filter((line) => line !== '').map((line) => JSON.parse(line));
  return { ...ended, checks, of: (name: string) => checks.find(({ check }) => check === name) };
}

const doctorOn = (queue: string, options: QueueOptions, env: SpawnOptions['env'] = {}) =>
  doctor([queueModule], { env: { TEST_QUEUE: queue, TEST_OPTIONS: JSON.stringify(options), ...env } });

async function declare(queue: string, options: QueueOptions, address = amqpUrl()): Promise<void> {
  const broker = await connect(address);
  await broker.declare(defineQueue(queue, z.unknown(), options).spec);
  await broker.close();
}

const withHost = (address: string, host: string) => address.replace('127.0.0.1', host);

describe('a RabbitMQ', () => {
  test('that can be used has a line for each check, and explains its version', async () => {
    const { exitCode, checks, of } = await doctor([]);
    expect(exitCode).toBe(0);
    // Other tests lose delayed messages.
    const names = checks.map(({ check }) => check).filter((name) => name !== 'delayed messages');
    expect(names).toEqual(['address', 'connection', 'version', 'limits', 'round trip', 'wait queues']);
    expect(of('wait queues')).toMatchObject({ status: 'ok', text: expect.stringContaining('unknown') });
    const { text, ...means } = brokerVersion();
    expect(of('version')).toMatchObject({ version: text, ...means });
    expect(of('limits')).toMatchObject({ frameMax: 131_072, channelMax: 2047, heartbeatSeconds: 20 });
    expect(of('round trip')).toMatchObject({ status: 'ok', handledMs: expect.any(Number) });
  });

  test('is shown to people line by line', async () => {
    const { exitCode, stdout } = await millrace(['doctor'], { env: { MILLRACE_URL: amqpUrl() } });
    expect(exitCode).toBe(0);
    for (const line of stdout.trimEnd().split('\n')) expect(line).toMatch(/^(ok|warn) +\S/);
    expect(stdout).toMatch(/^ok {4}address +amqp:\/\/guest:\*\*\*@.*, from MILLRACE_URL$/m);
  });

  test('is the one of the setting that wins, which is named, without its password', async () => {
    const env = { MILLRACE_URL: amqpUrl(), AMQP_URL: nobody };
    const fromVariable = await doctor([], { env });
    expect(fromVariable.of('address')).toMatchObject({ source: 'MILLRACE_URL' });
    const fromFlag = await doctor(['-u', amqpUrl()], { env: { MILLRACE_URL: nobody } });
    expect(fromFlag.of('address')).toMatchObject({ source: '--url' });
    for (const { stdout, stderr } of [fromVariable, fromFlag]) {
      expect(stdout + stderr).not.toContain('guest:guest');
    }
  });

  test('that does not answer, or refuses the user, fails with the matching code', async () => {
    const away = await doctor([], { env: { MILLRACE_URL: nobody } });
    expect(away.exitCode).toBe(69);
    expect(away.checks.at(-1)).toMatchObject({ check: 'connection', status: 'fail' });
    const refused = await doctor([], {
      env: { MILLRACE_URL: amqpUrl().replace('guest:guest', 'guest:s3cret') },
    });
    expect(refused.exitCode).toBe(77);
    expect(refused.stdout + refused.stderr).not.toContain('s3cret');
  });

  test('with an invalid address is a usage error', async () => {
    const wrong = 'amqp://guest:s3cret@host:70000';
    const variable = await doctor([], { env: { MILLRACE_URL: wrong } });
    expect(variable.exitCode).toBe(78);
    expect(variable.checks).toMatchObject([{ check: 'address', status: 'fail' }]);
    expect((await doctor(['-u', wrong])).exitCode).toBe(2);
    expect(variable.stdout).not.toContain('s3cret');
  });

  test('of several addresses is tried at each, and a dead one is a warning', async () => {
    const { exitCode, of, checks } = await doctor(['-u', `${nobody},${amqpUrl()}`]);
    expect(exitCode).toBe(0);
    expect(checks.filter(({ check }) => check === 'connection').map(({ status }) => status)).toEqual([
      'ok',
      'warn',
    ]);
    expect(of('round trip')).toMatchObject({ status: 'ok' });
  });

  // The address of no machine in particular leads to this one, and is no loopback by its name.
  test('that guest uses over the network, without TLS, is a warning of each', async () => {
    const { exitCode, of } = await doctor(['-u', withHost(amqpUrl(), '0.0.0.0')]);
    expect(exitCode).toBe(0);
    expect(of('user')).toMatchObject({ status: 'warn', advice: expect.stringContaining('delete guest') });
    expect(of('tls')).toMatchObject({ status: 'warn', advice: expect.stringContaining('amqps') });
  });

  // The user is made by rabbitmqctl in the broker's container: TEST_AMQP_URL names none.
  test.skipIf(!brokerRunsInContainer())(
    'whose user may use its own queues alone is looked at as far as that goes',
    async () => {
      const user = uniqueName('doctor');
      const [mine, other] = [nextQueue(), nextQueue()];
      await declare(mine, {});
      await declare(other, {});
      await rabbitmqctl('add_user', user, 's3cret');
      try {
        await rabbitmqctl('set_permissions', user, `^${mine}`, '.*', '.*');
        const env = { MILLRACE_URL: amqpUrl().replace('guest:guest', `${user}:s3cret`) };
        const { exitCode, of } = await doctorOn(mine, {}, env);
        expect(exitCode).toBe(0);
        expect(of('round trip')).toMatchObject({
          status: 'warn',
          text: expect.stringContaining('skipped'),
        });
        expect(of('queue')).toMatchObject({ status: 'ok' });
        const refused = await doctorOn(other, {}, env);
        expect(refused.exitCode).toBe(77);
        expect(refused.of('queue')).toMatchObject({ status: 'fail' });
      } finally {
        await rabbitmqctl('delete_user', user);
      }
    },
  );

  test('without a heartbeat is a warning', async () => {
    const { of } = await doctor(['-u', `${amqpUrl()}?heartbeat=0`]);
    expect(of('limits')).toMatchObject({ status: 'warn', heartbeatSeconds: 0 });
  });
});

describe('a queue', () => {
  test('that matches its definition, with its messages and dead letters', async () => {
    const name = nextQueue();
    await declare(name, { capacity: 10 });
    await put(channel, name, 'a', 'b');
    const fine = await doctorOn(name, { capacity: 10 });
    expect(fine.exitCode).toBe(0);
    expect(fine.of('queue')).toMatchObject({ status: 'ok', queue: name, ready: 2, differences: [] });
    expect(fine.of('dead letters')).toMatchObject({ status: 'ok', ready: 0 });
    await put(channel, `${name}.dead`, 'c');
    const dead = await doctorOn(name, { capacity: 10 });
    expect(dead.exitCode).toBe(0);
    expect(dead.of('dead letters')).toMatchObject({
      status: 'warn',
      ready: 1,
      advice: expect.stringMatching(new RegExp(`millrace dlq list -q ${name}$`)),
    });
  });

  test('with dead letters gives a hint that can be pasted: it names the broker, and no password', async () => {
    const name = nextQueue();
    await declare(name, {});
    await put(channel, `${name}.dead`, 'c');
    const byUrl = await doctor([name, '-u', amqpUrl()], { env: { MILLRACE_URL: nobody } });
    const advice = byUrl.of('dead letters')?.advice;
    expect(advice).toContain(`millrace dlq list -q ${name} -u `);
    expect(advice).not.toContain('guest:guest');
    const path = join(folder, 'the url');
    writeFileSync(path, amqpUrl());
    const byFile = await doctor([name, '--url-file', path]);
    expect(byFile.of('dead letters')?.advice).toContain(`dlq list -q ${name} --url-file '${path}'`);
  });

  test('that differs fails with all differences, and is not changed', async () => {
    const name = nextQueue();
    await declare(name, { capacity: 10, deliveryLimit: 5, deadLetter: false });
    const { exitCode, of } = await doctorOn(name, { capacity: 7, deadLetter: false });
    expect(exitCode).toBe(1);
    expect(of('queue')).toMatchObject({ status: 'fail', advice: expect.stringContaining("'existing'") });
    expect(of('queue')?.differences).toEqual(
      expect.arrayContaining([
        'x-max-length is 10 there and 7 here',
        'x-delivery-limit is 5 there and 20 here',
      ]),
    );
    await declare(name, { capacity: 10, deliveryLimit: 5, deadLetter: false });
  });

  test.each<[string, QueueOptions]>([
    ['type', { type: 'classic', deadLetter: false }],
    [
      'flags and further arguments',
      { type: 'classic', autoDelete: true, arguments: { 'x-single-active-consumer': true } },
    ],
  ])('that differs in its %s fails', async (_, there) => {
    const name = nextQueue();
    await declare(name, there);
    const here: QueueOptions = there.autoDelete ? { type: 'classic' } : { deadLetter: false };
    const { exitCode, of } = await doctorOn(name, here);
    expect(exitCode).toBe(1);
    expect(of('queue')?.differences).toEqual(
      there.autoDelete
        ? ['auto_delete is true there and false here', 'x-single-active-consumer is true there and none here']
        : ['x-queue-type is classic there and quorum here'],
    );
  });

  test('that is not there is not made', async () => {
    const name = nextQueue();
    for (const { exitCode, of } of [await doctorOn(name, {}), await doctor([name])]) {
      expect(exitCode).toBe(0);
      expect(of('queue')).toMatchObject({
        status: 'ok',
        text: expect.stringContaining('does not exist yet'),
      });
    }
    const existing = await doctorOn(name, { declare: 'existing' });
    expect(existing.exitCode).toBe(4);
    expect(existing.of('queue')).toMatchObject({ status: 'fail' });
  });

  test('that is given by name only is used as it is', async () => {
    const name = nextQueue();
    await declare(name, { capacity: 10 });
    const { exitCode, of } = await doctor([name]);
    expect(exitCode).toBe(0);
    expect(of('queue')).toMatchObject({ status: 'ok', text: expect.stringContaining('as it is') });
  });

  test('that was made before its definition had delayedRetry is a warning where the server can do it', async () => {
    const name = nextQueue();
    await declare(name, {});
    const { exitCode, of } = await doctorOn(name, { delayedRetry: { minMs: 100 } });
    expect(exitCode).toBe(0);
    expect(of('queue')).toMatchObject({ status: brokerVersion().delaysRetries ? 'warn' : 'ok' });
  });

  test('in a missing module, or one without queues, is a usage error', async () => {
    const none = await doctor([noQueueModule]);
    expect(none.exitCode).toBe(78);
    expect(none.stderr).toContain('defineQueue');
    expect((await doctor(['./no-such-module.js'])).exitCode).toBe(2);
  });
});

describe('queues in a folder', () => {
  const at = (name: string) => `local:${join(folder, name)}`;

  test('are counted, and so are the processes that take from them', async () => {
    const MILLRACE_URL = at('used');
    const queue = nextQueue();
    await declare(queue, {}, MILLRACE_URL);
    for (const text of ['a', 'b']) await millrace(['send', '-q', 'letters', text], { env: { MILLRACE_URL } });
    const worker = new Millrace(['work', '-q', queue], { env: { MILLRACE_URL } });
    await worker.said('Waiting for messages');
    const { exitCode, of } = await doctorOn(queue, {}, { MILLRACE_URL });
    expect(exitCode).toBe(0);
    expect(of('folder')).toMatchObject({ status: 'ok', mode: 0o700 });
    expect(of('disk')).toMatchObject({ freeBytes: expect.any(Number) });
    expect(of('store')?.queues).toContainEqual({ name: 'letters', ready: 2, held: 2 });
    expect(of('processes')?.processes).toEqual([worker.child.pid]);
    expect(of('round trip')).toMatchObject({ status: 'ok' });
    expect(of('queue')).toMatchObject({ status: 'ok', consumers: 1 });
    worker.child.kill('SIGTERM');
    expect(await worker.exit()).toBe(0);
    // Its own queue is gone.
    const again = await doctor([], { env: { MILLRACE_URL } });
    const { queues } = again.of('store') as Line & { queues: { name: string }[] };
    const names = queues.map(({ name }) => name);
    expect(names.filter((name) => name.startsWith('millrace.doctor'))).toEqual([]);
    expect(again.of('processes')?.processes).toEqual([]);
  });

  test('that differ from their definition fail, with all that differs', async () => {
    const MILLRACE_URL = at('differing');
    await declare('orders', { type: 'classic', arguments: { 'x-a': 1 } }, MILLRACE_URL);
    const { exitCode, of } = await doctorOn('orders', {}, { MILLRACE_URL });
    expect(exitCode).toBe(1);
    expect(of('queue')).toMatchObject({
      status: 'fail',
      differences: [
        'type is "classic" there and "quorum" here',
        "arguments is { 'x-a': 1 } there and {} here",
      ],
    });
    expect(of('queue')?.text).not.toContain('define it the same');
  });

  test('whose definition has changed in what a declaration changes are a warning, and stay as they are', async () => {
    const MILLRACE_URL = at('changed');
    const earlier = { capacity: 10, deadLetter: { capacity: 5 } };
    await declare('orders', earlier, MILLRACE_URL);
    const newer = { capacity: 7, deadLetter: { capacity: 6 }, onExpired: 'drop' } as const;
    for (let run = 0; run < 2; run++) {
      const { exitCode, of } = await doctorOn('orders', newer, { MILLRACE_URL });
      expect(exitCode).toBe(0);
      expect(of('queue')).toMatchObject({ status: 'warn', differences: [] });
      expect(of('queue')?.changes).toEqual(
        expect.arrayContaining([
          'capacity is 10 there and 7 here',
          'onExpired is "dead-letter" there and "drop" here',
        ]),
      );
      expect(of('dead letters')?.changes).toEqual(['capacity is 5 there and 6 here']);
    }
    const same = await doctorOn('orders', earlier, { MILLRACE_URL });
    expect(same.of('queue')).toMatchObject({ status: 'ok' });
  });

  test('are not created', async () => {
    const { exitCode, of } = await doctor([], { env: { MILLRACE_URL: at('missing') } });
    expect(exitCode).toBe(0);
    expect(of('folder')).toMatchObject({
      exists: false,
      text: expect.stringContaining('does not exist yet'),
    });
    expect(existsSync(join(folder, 'missing'))).toBe(false);
  });

  test('that others may read are a warning', async () => {
    await declare('orders', {}, at('open'));
    chmodSync(join(folder, 'open'), 0o755);
    const { exitCode, of } = await doctor([], { env: { MILLRACE_URL: at('open') } });
    expect(exitCode).toBe(0);
    expect(of('folder')).toMatchObject({ status: 'warn', advice: expect.stringContaining('chmod 700') });
  });

  test('in a path that is no folder or no store fail with a remedy', async () => {
    writeFileSync(join(folder, 'file'), '');
    expect((await doctor([], { env: { MILLRACE_URL: at('file') } })).exitCode).toBe(78);
    await declare('orders', {}, at('damaged'));
    writeFileSync(join(folder, 'damaged', 'queue.db'), 'no store '.repeat(2000));
    const { exitCode, checks } = await doctor([], { env: { MILLRACE_URL: at('damaged') } });
    expect(exitCode).toBe(78);
    expect(checks).toMatchObject([{ status: 'fail', text: expect.stringContaining('move the file away') }]);
  });
});

test('queues in memory are not checked', async () => {
  const { exitCode, checks } = await doctor(['-u', 'local:']);
  expect(exitCode).toBe(0);
  expect(checks).toMatchObject([
    { check: 'address', status: 'warn' },
    { check: 'round trip', status: 'ok' },
  ]);
});
