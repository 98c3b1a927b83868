import dns from 'node:dns';
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Backend, BrokerEvent } from '../../../src/broker.js';
import { connect } from '../../../src/connect.js';
import type { RabbitMqOptions } from '../../../src/rabbitmq/options.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { amqpUrl, closeConnectionsByName, uniqueName } from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';
import { recordWarnings } from '../../support/warnings.js';

async function open(addresses: string | string[], options: RabbitMqOptions = {}): Promise<Backend> {
  const broker = await openRabbitMqBroker([addresses].flat(), options);
  onTestFinished(() => broker.close());
  return broker;
}

/** Takes connections and says nothing. */
async function silentServer(): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    onTestFinished(() => {
      socket.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return `amqp://user:s3cret@127.0.0.1:${address.port}`;
}

/** A port where nothing listens. */
async function deadAddress(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return `amqp://user:s3cret@127.0.0.1:${address.port}`;
}

function withParts(parts: { username?: string; password?: string; pathname?: string }): string {
  return Object.assign(new URL(amqpUrl()), parts).href;
}

describe('connecting', () => {
  it('waits for a broker that is not up yet, tells what for, and connects as soon as it is', async () => {
    const url = new URL(amqpUrl());
    const broker = { host: url.hostname, port: Number(url.port || 5672) };
    const events: BrokerEvent[] = [];
    // First nothing listens; then a forwarder without a broker behind it, such as Docker's; then the broker is there.
    const dead = new URL(await deadAddress());
    let isUp = false;
    const forwarder = createServer((socket) => {
      socket.on('error', () => {});
      if (!isUp) return socket.resetAndDestroy();
      const upstream = createConnection(broker).on('error', () => socket.destroy());
      return socket.pipe(upstream).pipe(socket);
    });
    onTestFinished(() => {
      forwarder.close();
    });
    url.port = dead.port;
    url.hostname = '127.0.0.1';
    const opening = open(url.href, {
      connectTimeoutMs: 600_000,
      observe: (event) => {
        events.push(event);
        if (event.type !== 'waiting') return;
        if (/ECONNREFUSED/.test(event.reason.message)) forwarder.listen(Number(dead.port), '127.0.0.1');
        else isUp = true;
      },
    });
    expect((await opening).state).toBe('connected');
    expect(events.map(({ type }) => type)).toEqual(['waiting', 'waiting', 'connected']);
    const reasons = events.flatMap((event) => (event.type === 'waiting' ? [event.reason.message] : []));
    expect(reasons[0]).toMatch(/ECONNREFUSED/);
    expect(reasons[1]).toMatch(/port forwarder such as Docker's/);
  });

  it('waits for a name that can not be resolved yet', async () => {
    const lookup = vi.spyOn(dns, 'lookup').mockImplementationOnce(((_: string, __: object, done: unknown) => {
      const error = Object.assign(new Error('getaddrinfo ENOTFOUND broker.test'), { code: 'ENOTFOUND' });
      (done as (error: Error) => void)(error);
    }) as typeof dns.lookup);
    onTestFinished(() => lookup.mockRestore());
    const events: string[] = [];
    const address = new URL(amqpUrl());
    if (/^[\d.]+$/.test(address.hostname)) address.hostname = 'localhost';
    const broker = await open(address.href, { observe: ({ type }) => events.push(type) });
    expect(broker.state).toBe('connected');
    expect(events).toEqual(['waiting', 'connected']);
  });

  it('gives up at its time limit where nothing listens, and says where, why and how often it tried', async () => {
    const address = await deadAddress();
    // More than one attempt fits in, on any machine.
    const error = await rejection(open(address, { connectTimeoutMs: 2000 }), 'UNREACHABLE');
    expect(error.message).toMatch(/^no broker found within 2000 ms, in \d+ attempts: /);
    expect(error.message).toContain(`${address.replace('s3cret', '***')}: connect ECONNREFUSED`);
    expect(error.message).not.toContain('s3cret');
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('is reported by a process warning if nothing observes it, once for each reason', async () => {
    const warnings = recordWarnings('MILLRACE_WAITING');
    await rejection(connect(await deadAddress(), { connectTimeoutMs: 2000 }), 'UNREACHABLE');
    expect(warnings.map(({ code, message }) => `${code} ${message}`)).toEqual([
      expect.stringMatching(/^MILLRACE_WAITING waiting for up to [\d.]+ m?s: .*ECONNREFUSED/),
    ]);
  });

  it('tries once where it is told not to try again', async () => {
    const events: BrokerEvent[] = [];
    const options = { reconnect: { maxAttempts: 0 }, observe: (event: BrokerEvent) => events.push(event) };
    await rejection(open(await deadAddress(), { ...options, connectTimeoutMs: 600_000 }), 'UNREACHABLE');
    expect(events).toEqual([]);
  });

  it('ends with UNREACHABLE at its time limit where a server says nothing', async () => {
    const error = await rejection(open(await silentServer(), { connectTimeoutMs: 200 }), 'UNREACHABLE');
    expect(error.message).toContain('no answer within 200 ms');
  });

  it('tries the addresses in turn, and a silent one does not use up the time of the others', async () => {
    const addresses = [await silentServer(), await deadAddress(), amqpUrl()];
    // A third of it is for the silent one; the rest must be enough for a broker that is busy.
    const broker = await open(addresses, { connectTimeoutMs: 9000 });
    expect(broker.url).toBe(amqpUrl().replace(/:[^:@]*@/, ':***@'));
  });

  it('says of each address what was wrong where none answers', async () => {
    const addresses = [await deadAddress(), await deadAddress()];
    const { message } = await rejection(open(addresses, { connectTimeoutMs: 300 }), 'UNREACHABLE');
    for (const address of addresses) expect(message).toContain(address.replace('s3cret', '***'));
  });

  it('says why of each address of a name, where nothing listens at any', async () => {
    const { port } = new URL(await deadAddress());
    const lookup = vi.spyOn(dns, 'lookup').mockImplementation(((_: string, __: object, done: unknown) => {
      (done as (error: null, all: object[]) => void)(null, [
        { address: '127.0.0.2', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ]);
    }) as typeof dns.lookup);
    onTestFinished(() => lookup.mockRestore());
    const { message } = await rejection(
      open(`amqp://both.test:${port}`, { connectTimeoutMs: 1000 }),
      'UNREACHABLE',
    );
    expect(message).toMatch(/ECONNREFUSED 127\.0\.0\.2.*ECONNREFUSED 127\.0\.0\.1/);
  });

  it('is refused at once with a wrong password, and keeps that to itself', async () => {
    const address = withParts({ username: 'guest', password: 'wr0ng' });
    const error = await rejection(open(address), 'ACCESS_REFUSED');
    expect(error.message).toContain('guest:***@');
    expect(error.message).not.toContain('wr0ng');
  });

  it.each(['no-such-vhost', ''])('is refused at once for the virtual host %j', async (vhost) => {
    const error = await rejection(open(withParts({ pathname: `/${vhost}` })), 'ACCESS_REFUSED');
    expect(error.message).toContain('virtual host');
  });

  it('refuses bad addresses and options before any I/O', async () => {
    await rejection(open('amqp://host:port'), 'INVALID_OPTION');
    const dead = await deadAddress();
    const wrong: RabbitMqOptions[] = [
      { connectTimeoutMs: 0 },
      { heartbeatMs: 1.5 },
      { maxUnconfirmed: 0 },
      { maxMessageBytes: -1 },
      { reconnect: { initialDelayMs: 500, maxDelayMs: 100 } },
      { reconnect: { maxAttempts: -1 } },
      { tls: { certificate: 'x' } as object },
      { connectionName: 5 as unknown as string },
      { observe: 'loudly' as unknown as () => void },
      { hearbeatSeconds: 5 } as object,
    ];
    for (const options of wrong) await rejection(open(dead, options), 'INVALID_OPTION');
  });

  it('says which file of its TLS options can not be read', async () => {
    const address = `${(await deadAddress()).replace('amqp:', 'amqps:')}?cacertfile=/no/such/file.pem`;
    const error = await rejection(open(address), 'INVALID_OPTION');
    expect(error.message).toContain('/no/such/file.pem');
    expect(error.message).not.toContain('s3cret');
  });

  it('connects again when the broker closes the connection, and tells', async () => {
    const events: BrokerEvent[] = [];
    const connectionName = uniqueName('reconnecting');
    const broker = await open(amqpUrl(), { connectionName, observe: (event) => events.push(event) });
    await closeConnectionsByName(`${connectionName} (consume)`);
    await eventually(() => events.filter(({ type }) => type === 'connected').length === 2);
    // Each attempt to connect again that fails is reported as well, and how many do is up to the machine.
    const types = events.map(({ type }) => type);
    expect([types[0], ...new Set(types.slice(1, -1)), types.at(-1)]).toEqual([
      'connected',
      'disconnected',
      'connected',
    ]);
    expect(events[1]).toMatchObject({ connection: 'consume', retryInMs: expect.any(Number) });
    await eventually(() => broker.state === 'connected');
  });

  it('gives up after as many tries as it is told, and is closed then', async () => {
    const events: BrokerEvent[] = [];
    const connectionName = uniqueName('giving-up');
    const broker = await open(amqpUrl(), {
      connectionName,
      reconnect: { maxAttempts: 0 },
      observe: (event) => events.push(event),
    });
    await closeConnectionsByName(`${connectionName} (consume)`);
    await eventually(() => broker.state === 'closed');
    expect(events.at(-1)).toMatchObject({ type: 'disconnected', retryInMs: undefined });
    await rejection(broker.inspect('anything'), 'CLOSED');
  });

  it('is not harmed by an observer that throws', async () => {
    const broker = await open(amqpUrl(), {
      observe: () => {
        throw new Error('an observer of little care');
      },
    });
    expect(broker.state).toBe('connected');
  });
});
