import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { createServer, type TlsOptions } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { defineQueue } from '../../../src/queue.js';
import { amqpUrl, managementUrl as managementAddress, uniqueName } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { rejection } from '../../support/rejection.js';

/** Of no use to anyone: a key that is public, for `localhost`. */
const CERTIFICATE = fileURLToPath(new URL('./tls/cert.pem', import.meta.url));
const KEY = fileURLToPath(new URL('./tls/key.pem', import.meta.url));

/** Speaks TLS in front of the broker; gives the address there. */
async function tlsAddress(): Promise<URL> {
  const url = new URL(amqpUrl().replace(/^amqp:/, 'amqps:'));
  url.port = String(await tlsPort(new URL(amqpUrl()), 5672));
  url.hostname = 'localhost';
  return url;
}

/** Speaks TLS in front of a server; gives the port. */
async function tlsPort(broker: URL, usualPort: number): Promise<number> {
  const server = createServer({ cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) }, (client) => {
    const upstream = connectTcp(Number(broker.port || usualPort), broker.hostname);
    client.pipe(upstream).pipe(client);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    onTestFinished(() => {
      client.destroy();
    });
  }).listen(0, '127.0.0.1');
  server.on('tlsClientError', () => {});
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TLS server has a port');
  return address.port;
}

test('amqps: reaches a broker whose certificate is trusted, by option', async () => {
  const url = await tlsAddress();
  const broker = await connect(url.href, { tls: { ca: readFileSync(CERTIFICATE) } });
  expect(broker.state).toBe('connected');
  expect(broker.url).toMatch(/^amqps:/);
  await broker.close();
});

test('amqps: takes the trusted certificate from the address, too', async () => {
  const url = await tlsAddress();
  url.searchParams.set('cacertfile', CERTIFICATE);
  const broker = await connect(url.href);
  expect(broker.state).toBe('connected');
  await broker.close();
});

test('amqps: refuses a certificate that nobody vouches for, and says so', async () => {
  const { message } = await rejection(connect((await tlsAddress()).href), 'UNREACHABLE');
  expect(message).toMatch(/self-signed certificate/);
});

test('amqps: takes the version and the ciphers of TLS as Node does', async () => {
  const url = await tlsAddress();
  const ca = readFileSync(CERTIFICATE);
  const broker = await connect(url.href, { tls: { ca, minVersion: 'TLSv1.3' } });
  await broker.close();
  const { message } = await rejection(
    connect(url.href, { tls: { ca, ciphers: 'NONE-SUCH' } }),
    'UNREACHABLE',
  );
  expect(message).toMatch(/cipher/);
});

test.each<[string, string, TlsOptions]>([
  ['a version of TLS that nobody speaks any more', 'alert protocol version', { maxVersion: 'TLSv1.1' }],
  ['a certificate of the client', 'alert certificate required', { requestCert: true, minVersion: 'TLSv1.3' }],
  [
    'a certificate of the client, in TLS 1.2',
    'alert handshake failure',
    { requestCert: true, maxVersion: 'TLSv1.2' },
  ],
])('amqps: says in one line that the server wants %s', async (_, expected, options) => {
  const server = createServer(
    {
      cert: readFileSync(CERTIFICATE),
      key: readFileSync(KEY),
      ciphers: 'DEFAULT@SECLEVEL=0',
      minVersion: 'TLSv1',
      ...options,
    },
    () => {},
  ).listen(0, '127.0.0.1');
  server.on('tlsClientError', () => {});
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TLS server has a port');
  const opening = connect(`amqps://localhost:${address.port}`, { tls: { ca: readFileSync(CERTIFICATE) } });
  const { message } = await rejection(opening, 'UNREACHABLE');
  expect(message).toMatch(new RegExp(`: TLS: [^:;\\n]*${expected}$`));
});

test('the management API is asked with the same TLS options', async () => {
  const managementUrl = `https://localhost:${await tlsPort(new URL(managementAddress()), 15672)}`;
  const trusting = await connect(amqpUrl(), { managementUrl, tls: { ca: readFileSync(CERTIFICATE) } });
  const queue = uniqueName('tls-management');
  const spec = defineQueue(queue, z.unknown(), { type: 'classic', deadLetter: false, exclusive: true }).spec;
  await trusting.declare(spec);
  expect(await trusting.listBindings(queue)).toEqual([]);
  await trusting.close();

  const other = await connect(amqpUrl(), { managementUrl });
  const { message } = await rejection(other.listBindings(queue), 'UNREACHABLE');
  expect(message).toMatch(/self-signed certificate/);
  await other.close();
});
