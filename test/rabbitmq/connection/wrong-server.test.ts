import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { amqpUrl } from '../../support/broker.js';
import { rejection } from '../../support/rejection.js';

/** Only what answers ends the wait within this limit. */
const CONNECT_LIMIT_MS = 3_600_000;

const tlsFile = (name: string) => readFileSync(new URL(`./tls/${name}`, import.meta.url));

async function portOf(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A server that answers the first bytes of a connection. `undefined`: it waits for more; `''`: it hangs up. */
function answering(answer: (bytes: Buffer) => string | undefined, greeting = ''): Server {
  return createServer((socket) => {
    socket.on('error', () => {});
    if (greeting !== '') socket.write(Buffer.from(greeting, 'latin1'));
    socket.once('data', (bytes) => {
      const text = answer(bytes);
      if (text !== undefined) socket.end(Buffer.from(text, 'latin1'));
    });
  });
}

const isLine = (bytes: Buffer) => bytes.includes('\r\n');
const isSslRequest = (bytes: Buffer) => bytes.equals(Buffer.from('0000000804d2162f', 'hex'));
const tls = () =>
  createTlsServer({ cert: tlsFile('cert.pem'), key: tlsFile('key.pem') }, (socket) => {
    socket.on('error', () => {});
  });

test.each<[string, () => Server, string]>([
  ['a web server, or a proxy', () => createHttpServer(), 'speaks HTTP'],
  // The management page waits for a line before it answers anything.
  [
    "RabbitMQ's management page",
    () => answering((bytes) => (isLine(bytes) ? 'HTTP/1.1 200 OK\r\n' : undefined)),
    'management page',
  ],
  ['a TLS port', tls, 'expects TLS on port'],
  [
    'a TLS port that only says so by an alert',
    () => answering(() => '\x15\x03\x03\0\x02\x02\x46'),
    'use amqps:',
  ],
  ['AMQP 1.0', () => answering(() => 'AMQP\0\x01\0\0'), 'speaks AMQP 1.0, not AMQP 0-9-1'],
  ['AMQP 1.0 with SASL', () => answering(() => 'AMQP\x03\x01\0\0'), 'speaks AMQP 1.0'],
  ['AMQP 0-8', () => answering(() => 'AMQP\x01\x01\x08\0'), 'speaks AMQP of another version, not'],
  [
    'Redis',
    () =>
      answering((bytes) =>
        isLine(bytes) ? "-ERR wrong number of arguments for 'get' command\r\n" : undefined,
      ),
    'speaks Redis',
  ],
  ['NATS', () => answering(() => undefined, 'INFO {"server_id":"N"} \r\n'), 'speaks NATS'],
  ['PostgreSQL', () => answering((bytes) => (isSslRequest(bytes) ? 'N' : '')), 'speaks PostgreSQL'],
  ['MySQL', () => answering(() => undefined, 'J\0\0\0\n8.0.40\0'), 'speaks MySQL'],
  ['mail', () => answering(() => undefined, '220 mail.example ESMTP ready\r\n'), 'speaks SMTP'],
  ['anything else', () => answering(() => 'hello \x1b[31mstranger'), 'it says "hello \\u001b[31mstranger"'],
])('amqp: where %s answers, it says so and what to do, at once', async (_, server, expected) => {
  const port = await portOf(server());
  const opening = openRabbitMqBroker([`amqp://u:s3cret@127.0.0.1:${port}`], {
    connectTimeoutMs: CONNECT_LIMIT_MS,
  });
  const error = await rejection(opening, 'UNREACHABLE');
  expect(error.message).toContain(expected);
  expect(error.message).toMatch(
    new RegExp(`amqp://u:\\*\\*\\*@127\\.0\\.0\\.1:${port}: the server .*\\b567[12]\\b|AMQP 0-9-1, which`),
  );
  expect(error.message.length).toBeLessThan(240);
});

test('amqps: where RabbitMQ answers without TLS, it says so and what to do, at once', async () => {
  const opening = openRabbitMqBroker([amqpUrl().replace('amqp:', 'amqps:')], {
    connectTimeoutMs: CONNECT_LIMIT_MS,
  });
  expect((await rejection(opening, 'UNREACHABLE')).message).toMatch(/speaks AMQP without TLS .* use amqp:/);
});

test.each<[string, () => Server, string]>([
  ['a web server', () => createHttpServer(), 'speaks HTTP'],
  [
    'a web server with TLS',
    () =>
      createTlsServer({ cert: tlsFile('cert.pem'), key: tlsFile('key.pem') }, (socket) => {
        socket.on('error', () => {});
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
      }),
    'speaks HTTP',
  ],
])('amqps: where %s answers, it says so, at once', async (_, server, expected) => {
  const port = await portOf(server());
  const opening = openRabbitMqBroker([`amqps://localhost:${port}`], {
    connectTimeoutMs: CONNECT_LIMIT_MS,
    tls: { ca: tlsFile('cert.pem') },
  });
  expect((await rejection(opening, 'UNREACHABLE')).message).toContain(expected);
});

test('a server that is wrong does not end the wait for another one', async () => {
  const port = await portOf(createHttpServer());
  const dead = await portOf(createServer());
  const opening = openRabbitMqBroker([`amqp://127.0.0.1:${port}`, `amqp://127.0.0.1:${dead}`], {
    connectTimeoutMs: 2000,
  });
  expect((await rejection(opening, 'UNREACHABLE')).message).toContain('speaks HTTP');
});

test('a server that sends one byte of a frame and nothing more is UNREACHABLE, and ends no process', async () => {
  const port = await portOf(answering(() => undefined, '\x01'));
  const opening = openRabbitMqBroker([`amqp://u:s3cret@127.0.0.1:${port}`], { connectTimeoutMs: 2000 });
  const { message } = await rejection(opening, 'UNREACHABLE');
  expect(message).toContain('no answer within');
});
