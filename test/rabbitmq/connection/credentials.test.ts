import { describe, expect, it, onTestFinished } from 'vitest';
import type { BrokerEvent } from '../../../src/broker.js';
import { renewAfterMs } from '../../../src/rabbitmq/connection/log-in.js';
import type { RabbitMqCredentials } from '../../../src/rabbitmq/options.js';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import {
  amqpUrl,
  brokerRunsInContainer,
  closeConnectionsByName,
  rabbitmqctl,
  uniqueName,
} from '../../support/broker.js';
import { eventually } from '../../support/eventually.js';
import { rejection } from '../../support/rejection.js';

const address = () => Object.assign(new URL(amqpUrl()), { username: 'nobody', password: 'wr0ng' }).href;

describe.skipIf(!brokerRunsInContainer())('credentials by a function', () => {
  it('are asked for at each connection, so that a password may change', async () => {
    const username = uniqueName('token');
    await rabbitmqctl('add_user', username, 'first');
    onTestFinished(async () => {
      await rabbitmqctl('delete_user', username);
    });
    await rabbitmqctl('set_permissions', username, '.*', '.*', '.*');
    let password = 'first';
    const events: BrokerEvent[] = [];
    const connectionName = uniqueName('renewed');
    const broker = await openRabbitMqBroker([address()], {
      connectionName,
      credentials: async () => ({ username, password }),
      reconnect: { initialDelayMs: 20, maxDelayMs: 200 },
      observe: (event) => events.push(event),
    });
    onTestFinished(() => broker.close());
    await rabbitmqctl('change_password', username, 'second');
    password = 'second';
    await closeConnectionsByName(`${connectionName} (consume)`);
    await eventually(() => events.filter(({ type }) => type === 'connected').length === 2);
    await rejection(broker.inspect('none'), 'QUEUE_MISSING');
  });
});

describe('credentials by a function', () => {
  const given = () => {
    const { username, password } = new URL(amqpUrl());
    return { username: decodeURIComponent(username), password: decodeURIComponent(password) };
  };

  it('are renewed on a connection that stays, before they are over', async () => {
    let asked = 0;
    const events: BrokerEvent[] = [];
    const broker = await openRabbitMqBroker([address()], {
      credentials: () => {
        asked++;
        return { ...given(), validForMs: 100 };
      },
      observe: (event) => events.push(event),
    });
    await eventually(() => asked >= 4);
    await rejection(broker.inspect('none'), 'QUEUE_MISSING');
    expect(events.map(({ type }) => type)).toEqual(['connected']);
    await broker.close();
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(asked).toBe(before);
  });

  it('are renewed after a pause, however long or short they say that they are valid', () => {
    expect(renewAfterMs(1000)).toBe(750);
    expect(renewAfterMs(undefined)).toBeUndefined();
    expect(renewAfterMs(Number.POSITIVE_INFINITY)).toBeUndefined();
    // A token from a cache may have ended, and a timer takes no more than 2^31 - 1 ms: beyond that it fires at once.
    for (const validForMs of [0, -5, Number.NaN]) expect(renewAfterMs(validForMs)).toBe(5000);
    expect(renewAfterMs(0.001)).toBeGreaterThan(1);
    expect(renewAfterMs(1e12)).toBe(2 ** 31 - 1);
  });

  it('that throw or are none leave the broker unreachable or the option invalid, and are not shown', async () => {
    const open = (credentials: () => RabbitMqCredentials) => openRabbitMqBroker([address()], { credentials });
    const { message } = await rejection(
      open(() => {
        throw new Error('the vault is sealed');
      }),
      'UNREACHABLE',
    );
    expect(message).toContain('the vault is sealed');
    await rejection(
      open(() => ({ secret: 's3cret' }) as never),
      'INVALID_OPTION',
    );
    const wrong = await rejection(
      openRabbitMqBroker([address()], { credentials: 's3cret' as never }),
      'INVALID_OPTION',
    );
    expect(wrong.message).not.toContain('s3cret');
  });

  it('that never come end with the time limit', async () => {
    const credentials = () => new Promise<never>(() => {});
    await rejection(openRabbitMqBroker([address()], { credentials, connectTimeoutMs: 100 }), 'UNREACHABLE');
  });
});

it('auth_mechanism=external logs in by certificate, and says so where the broker does not offer it', async () => {
  const { message } = await rejection(
    openRabbitMqBroker([`${amqpUrl()}?auth_mechanism=external`], {}),
    'UNREACHABLE',
  );
  expect(message).toContain('EXTERNAL');
});
