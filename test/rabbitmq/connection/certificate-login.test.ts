import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createProducer } from '../../../src/producer/producer.js';
import { defineQueue } from '../../../src/queue.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { canStartOwnBroker, rabbitmqctl, startOwnBroker } from '../../support/broker.js';
import { rejection } from '../../support/rejection.js';

const PLUGIN = 'rabbitmq_auth_mechanism_ssl';

/** Why nobody can log in by certificate here; undefined: it works. */
async function whyNot(): Promise<string | undefined> {
  if (!canStartOwnBroker()) return 'needs a broker of its own: run it without TEST_AMQP_URL';
  const { status, stdout } = spawnSync('openssl', ['version'], { encoding: 'utf8' });
  if (status !== 0 || !/^OpenSSL [3-9]/.test(stdout)) return 'needs the program openssl, 3 or later';
  const plugins = 'rabbit_plugins:list(rabbit_plugins:plugins_dir())';
  const isThere = await rabbitmqctl('eval', `lists:keymember(${PLUGIN}, 2, ${plugins}).`);
  return isThere.trim() === 'true' ? undefined : `the image has no ${PLUGIN}`;
}
const reason = await whyNot();

describe.skipIf(reason !== undefined)(`log-in by certificate ${reason ?? ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-certificates-'));
  const file = (name: string) => join(folder, name);
  let address: URL;

  /** A certificate for `name`, by the authority of this test. */
  function issue(name: string, usage: 'serverAuth' | 'clientAuth'): void {
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    const subject = ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-subj', `/CN=${name}`];
    const extensions = ['-addext', `extendedKeyUsage=${usage}`, '-addext', `subjectAltName=DNS:${name}`];
    openssl('req', '-new', ...subject, ...extensions, '-out', `${name}.csr`);
    const authority = ['-CA', 'authority.pem', '-CAkey', 'authority.key', '-CAcreateserial'];
    openssl(
      'x509',
      '-req',
      '-days',
      '2',
      '-copy_extensions',
      'copy',
      ...authority,
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.pem`,
    );
  }

  beforeAll(async () => {
    const authority = ['-keyout', 'authority.key', '-out', 'authority.pem', '-subj', '/CN=authority'];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...authority], {
      cwd: folder,
      stdio: 'pipe',
    });
    issue('localhost', 'serverAuth');
    issue('orders-service', 'clientAuth');
    issue('stranger', 'clientAuth');

    const broker = await startOwnBroker();
    const written = ['authority.pem', 'localhost.pem', 'localhost.key'];
    for (const name of written) await broker.write(`/tmp/${name}`, readFileSync(file(name), 'utf8'));
    const settings = [
      'listeners.ssl.default = 5671',
      'ssl_options.cacertfile = /tmp/authority.pem',
      'ssl_options.certfile = /tmp/localhost.pem',
      'ssl_options.keyfile = /tmp/localhost.key',
      'ssl_options.verify = verify_peer',
      'ssl_options.fail_if_no_peer_cert = true',
      'ssl_cert_login_from = common_name',
      'auth_mechanisms.1 = EXTERNAL',
      'auth_mechanisms.2 = PLAIN',
    ];
    await broker.write('/etc/rabbitmq/conf.d/30-certificates.conf', `${settings.join('\n')}\n`);
    await broker.write('/etc/rabbitmq/enabled_plugins', `[rabbitmq_management,${PLUGIN}].`);
    await broker.restart();
    await broker.rabbitmqctl('add_user', 'orders-service', 'a password that nobody uses');
    await broker.rabbitmqctl('set_permissions', 'orders-service', '.*', '.*', '.*');
    address = new URL(`amqps://localhost:${await broker.tlsPort()}`);
    address.searchParams.set('auth_mechanism', 'external');
    address.searchParams.set('cacertfile', file('authority.pem'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function addressOf(name: string): string {
    const own = new URL(address);
    own.searchParams.set('certfile', file(`${name}.pem`));
    own.searchParams.set('keyfile', file(`${name}.key`));
    return own.href;
  }

  it('takes the user from the certificate, for both connections', async () => {
    const broker = await openRabbitMqBroker([addressOf('orders-service')], {});
    const queue = defineQueue('certified', z.string(), { deadLetter: false });
    await createProducer(broker, queue).send('x');
    expect((await broker.inspect('certified')).ready).toBe(1);
    await broker.close();
  });

  it('is refused for a name that is no user', async () => {
    const { message } = await rejection(openRabbitMqBroker([addressOf('stranger')], {}), 'ACCESS_REFUSED');
    expect(message).toMatch(/refused the connection: .* EXTERNAL/);
  });

  it('ends in a line that names the alert where there is no certificate', async () => {
    const { message } = await rejection(openRabbitMqBroker([address.href], {}), 'UNREACHABLE');
    expect(message).toMatch(/TLS: .*certificate required$/);
  });
});
