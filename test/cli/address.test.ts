import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { TcpProxy } from '../../src/testing/tcp-proxy.js';
import { amqpUrl } from '../support/broker.js';
import { queueNames } from './support/queues.js';
import { millrace } from './support/spawn-millrace.js';

const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-address-'));
afterAll(() => rmSync(folder, { recursive: true }));

const queue = queueNames('cli-address')();

function withPassword(password: string): string {
  const url = new URL(amqpUrl());
  url.password = password;
  return url.href;
}

test.each(['send', 'work'])('%s: an unreachable broker is one line and exit code 69', async (command) => {
  const { exitCode, stdout, stderr } = await millrace(
    [command, '-u', 'amqp://u:secret@127.0.0.1:1', '--connect-timeout', '100ms'],
    { input: 'x' },
  );
  expect({ exitCode, stdout }).toEqual({ exitCode: 69, stdout: '' });
  expect(stderr).toMatch(/^millrace: .*127\.0\.0\.1:1.*\n$/);
  expect(stderr).not.toContain('secret');
});

test('a broker that accepts and stays silent is given up after the time limit', async () => {
  const { hostname, port } = new URL(amqpUrl());
  const proxy = await TcpProxy.start({ host: hostname, port: Number(port || 5672) });
  proxy.freeze();
  try {
    const args = ['send', 'x', '-u', proxy.url(amqpUrl()), '--connect-timeout', '300ms'];
    const { exitCode, stderr } = await millrace(args);
    expect(exitCode).toBe(69);
    expect(stderr).toMatch(/^millrace: .*\n$/);
  } finally {
    await proxy.close();
  }
});

test('a wrong password is exit code 77, and is not shown', async () => {
  const { exitCode, stderr } = await millrace(['send', 'x', '-u', withPassword('wr0ng')]);
  expect(exitCode).toBe(77);
  expect(stderr).toMatch(/^millrace: .*\n$/);
  expect(stderr).not.toContain('wr0ng');
});

test('several addresses are tried in turn', async () => {
  const args = ['send', 'x', '-q', queue, '-u', `amqp://127.0.0.1:1,${amqpUrl()}`];
  expect(await millrace(args)).toMatchObject({ exitCode: 0, stdout: " [x] Sent 'x'\n" });
});

test('the address comes from the environment where no flag says it', async () => {
  const env = { AMQP_URL: amqpUrl(), RABBITMQ_URL: 'amqp://127.0.0.1:1' };
  expect((await millrace(['send', 'x', '-q', queue], { env })).exitCode).toBe(0);
  const args = ['send', 'x', '-q', queue, '-u', 'amqp://127.0.0.1:1', '--connect-timeout', '100ms'];
  expect((await millrace(args, { env })).exitCode).toBe(69);
});

test('the address comes from a file, and its password appears nowhere', async () => {
  const path = join(folder, 'url');
  writeFileSync(path, `${amqpUrl()}\n`);
  const { exitCode, stdout, stderr } = await millrace(['send', 'x', '-q', queue, '--json'], {
    env: { MILLRACE_URL_FILE: path },
  });
  expect(exitCode).toBe(0);
  const { username, password } = new URL(amqpUrl());
  const { broker } = JSON.parse(stdout) as { broker: string };
  expect(broker).toContain(`${username}:***@`);
  expect(stdout + stderr).not.toContain(`:${password}@`);
});
