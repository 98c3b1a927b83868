import type { Channel, Connection } from 'amqplib';
import { describe, expect, it } from 'vitest';
import { AmqplibInternals } from '../../../src/rabbitmq/connection/amqplib-internals.js';
import { rawConnection } from '../../support/broker.js';

describe('the internals of the amqplib that is installed', () => {
  it('are as tested: all of them may be used', async () => {
    const { connection } = await rawConnection();
    const channel = await (await rawConnection()).createConfirmChannel();
    expect(new AmqplibInternals(connection, true).reading).toBe(connection);
    expect(new AmqplibInternals(channel.connection, true).publishingOn(channel)).toBe(channel);
    expect(new AmqplibInternals(connection, true).negotiated).toEqual({
      frameMax: 131_072,
      channelMax: 2047,
      heartbeatSeconds: 60,
    });
  });

  it('are not used where the application says so, though what was negotiated is read', async () => {
    const channel = await (await rawConnection()).createConfirmChannel();
    const internals = new AmqplibInternals(channel.connection, false);
    expect(internals.reading).toBeUndefined();
    expect(internals.publishingOn(channel)).toBeUndefined();
    expect(internals.negotiated.frameMax).toBe(131_072);
    let unreferenced = 0;
    const own = { stream: { unref: () => unreferenced++ } } as unknown as Connection;
    new AmqplibInternals(own, false).unref();
    expect(unreferenced).toBe(0);
  });

  it.each(['rest', 'recvFrame'])('are not used to read where %s is not what it was', async (name) => {
    const { connection } = await rawConnection();
    const changed = Object.create(connection, { [name]: { value: 5 } }) as Connection;
    expect(new AmqplibInternals(changed, true).reading).toBeUndefined();
  });

  it.each(['ch', 'pushConfirmCallback', 'connection'])(
    'are not used to publish where %s is not what it was',
    async (name) => {
      const channel = await (await rawConnection()).createConfirmChannel();
      const changed = Object.create(channel, { [name]: { value: 'other' } }) as Channel;
      expect(new AmqplibInternals(channel.connection, true).publishingOn(changed)).toBeUndefined();
    },
  );

  it.each(['frameMax', 'sentSinceLastCheck', 'stream', 'channels'])(
    'are not used to publish where the %s of the connection is not what it was',
    async (name) => {
      const channel = await (await rawConnection()).createConfirmChannel();
      const connection = Object.create(channel.connection, { [name]: { value: 'other' } });
      const changed = Object.create(channel, { connection: { value: connection } }) as Channel;
      expect(new AmqplibInternals(connection, true).publishingOn(changed)).toBeUndefined();
    },
  );
});
