import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { createServer, type TlsOptions } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { amqpUrl } from '../../support/broker.js';
import { connect } from '../../support/connect.js';
import { rejection } from '../../support/rejection.js';

/** Of no use to anyone: a key that is public, for `localhost`. */
const CERTIFICATE = fileURLToPath(new URL('./tls/cert.pem', import.meta.url));
const KEY = fileURLToPath(new URL('./tls/key.pem', import.meta.url));

/** Speaks TLS in front of the broker; gives the address there. */
async function tlsAddress(): Promise<URL> {
  const broker = new URL(amqpUrl());
  const server = createServer({ cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) }, (client) => {
    const upstream = connectTcp(Number(broker.port || 5672), broker.hostname);
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
  const url = new URL(broker.href.replace(/^amqp:/, 'amqps:'));
  url.hostname = 'localhost';
  url.port = String(address.port);
  return url;
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
