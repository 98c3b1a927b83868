import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { QueueError } from '../../src/errors.js';
import { maskAddress, parseAddress } from '../../src/rabbitmq/address.js';

describe('parseAddress', () => {
  it('fills in the defaults', () => {
    expect(parseAddress('amqp://')).toMatchObject({
      tls: false,
      host: 'localhost',
      port: 5672,
      username: 'guest',
      password: 'guest',
      vhost: '/',
      heartbeatSeconds: undefined,
    });
    expect(parseAddress('AMQPS://broker.example')).toMatchObject({
      tls: true,
      host: 'broker.example',
      port: 5671,
    });
  });

  it.each([
    ['amqp://host', '/'],
    ['amqp://host/', ''],
    ['amqp://host/%2f', '/'],
    ['amqp://host/v%2Fhost', 'v/host'],
    ['amqp://host/caf%C3%A9?heartbeat=5', 'café'],
  ])('reads the virtual host of %s', (address, vhost) => {
    expect(parseAddress(address).vhost).toBe(vhost);
  });

  it.each([
    ['amqp://user@host', 'user', 'guest'],
    ['amqp://user:@host', 'user', ''],
    ['amqp://:@host', '', ''],
    ['amqp://us%61er:p%40ss%3A%2F@host', 'usaer', 'p@ss:/'],
    ['amqp://user:a:b@host', 'user', 'a:b'],
  ])('reads the credentials of %s', (address, username, password) => {
    expect(parseAddress(address)).toMatchObject({ username, password, host: 'host' });
  });

  it('reads IPv6 hosts, and hosts that are percent-encoded', () => {
    expect(parseAddress('amqp://[::1]:10000/v')).toMatchObject({ host: '::1', port: 10000, vhost: 'v' });
    expect(parseAddress('amqp://[fe80::1]')).toMatchObject({ host: 'fe80::1', port: 5672 });
    expect(parseAddress('amqp://ho%61st:10000')).toMatchObject({ host: 'hoast', port: 10000 });
  });

  it('reads the parameters of the query', () => {
    const query =
      'heartbeat=5&connection_timeout=1500&channel_max=10&frame_max=8192&cacertfile=%2Fca.pem&certfile=c.pem&keyfile=k.pem&verify=verify_none&server_name_indication=other&auth_mechanism=EXTERNAL';
    expect(parseAddress(`amqps://host?${query}`)).toMatchObject({
      heartbeatSeconds: 5,
      connectTimeoutMs: 1500,
      channelMax: 10,
      frameMax: 8192,
      caFile: '/ca.pem',
      certFile: 'c.pem',
      keyFile: 'k.pem',
      verifyPeer: false,
      servername: 'other',
      authMechanism: 'external',
    });
  });

  it.each([
    ['http://host', 'amqp://user:password@host:port/vhost'],
    ['host:5672', 'amqp://user:password@host:port/vhost'],
    ['amqp://host:port', 'amqp://user:password@host:port/vhost'],
    ['amqp://[::1', 'amqp://user:password@host:port/vhost'],
    ['amqp://host#part', 'amqp://user:password@host:port/vhost'],
    ['amqp://host:0', 'the port 0'],
    ['amqp://host:65536', 'the port 65536'],
    ['amqp://host/a/b', '%2f'],
    ['amqp://host/%zz', 'virtual host'],
    ['amqp://host?heartbeat=often', 'heartbeat'],
    ['amqp://host?heartbeat=-1', 'heartbeat'],
    ['amqp://host?frame_max=4096', 'frame_max'],
    ['amqp://host?verify=maybe', 'verify'],
    ['amqp://host?auth_mechanism=amqplain', 'auth_mechanism'],
    ['amqp://host?heartbeet=5', "no parameter 'heartbeet'"],
  ])('refuses %s and says why', (address, why) => {
    const error = failure(() => parseAddress(address));
    expect(error.code).toBe('INVALID_OPTION');
    expect(error.message).toContain(why);
  });

  it('reads back whatever names and passwords are percent-encoded', () => {
    const text = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(
        text,
        text,
        text,
        fc.integer({ min: 1, max: 65_535 }),
        (username, password, vhost, port) => {
          const [user, pass, name] = [username, password, vhost].map(encodeURIComponent);
          const parsed = parseAddress(`amqp://${user}:${pass}@host:${port}/${name}`);
          expect(parsed).toMatchObject({ username, password, vhost, port, host: 'host' });
        },
      ),
    );
  });

  it('never shows a password, in what it returns masked and in what it throws', () => {
    const anything = fc.string({
      unit: fc.constantFrom('a', ':', '@', '/', '?', '#', '%', '[', ' ', '\n', 'é'),
    });
    fc.assert(
      fc.property(anything, anything, (before, after) => {
        const address = `amqp://user:${before}s3cret${after}@host:5672/v`;
        let shown: string;
        try {
          shown = parseAddress(address).masked;
        } catch (error) {
          shown = (error as QueueError).message;
        }
        expect(shown).not.toContain('s3cret');
      }),
    );
  });
});

describe('maskAddress', () => {
  it.each([
    ['amqp://user:secret@host:5672/v', 'amqp://user:***@host:5672/v'],
    ['amqp://user@host', 'amqp://user@host'],
    ['amqp://host/v', 'amqp://host/v'],
    ['amqp://host:5672', 'amqp://host:5672'],
    ['user:secret@host', 'user:***@host'],
    ['local:', 'local:'],
    ['amqp://user:se/cr@et@host', 'amqp://user:***@host'],
  ])('%s becomes %s', (address, masked) => {
    expect(maskAddress(address)).toBe(masked);
  });
});

function failure(run: () => unknown): QueueError {
  try {
    run();
  } catch (error) {
    if (error instanceof QueueError) return error;
    throw error;
  }
  throw new Error('it did not throw');
}
