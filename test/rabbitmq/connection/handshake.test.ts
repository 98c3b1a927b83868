import { describe, expect, onTestFinished, test } from 'vitest';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { AmqpServer, type Peer, type Script } from '../../hostile/amqp-server.js';
import { rejection } from '../../support/rejection.js';

/** Nothing but the end of the connection ends the wait within this limit. */
const CONNECT_LIMIT_MS = 3_600_000;

const ends: Record<string, (peer: Peer) => void> = {
  reset: (peer) => peer.reset(),
  ended: (peer) => peer.end(),
};

/** The methods of the client after which the connection ends; at most one answer comes before. */
const steps: Record<string, (end: (peer: Peer) => void) => Script> = {
  'the greeting': (end) => ({ ProtocolHeader: ({ peer }) => end(peer) }),
  'the log-in': (end) => ({ ConnectionStartOk: ({ peer }) => end(peer) }),
  tuning: (end) => ({ ConnectionTuneOk: ({ peer }) => end(peer) }),
  opening: (end) => ({ ConnectionOpen: ({ peer }) => end(peer) }),
  'opening, which is answered': (end) => ({
    ConnectionOpen: ({ peer }) => {
      peer.method(0, 'ConnectionOpenOk');
      end(peer);
    },
  }),
  'opening, which is answered a moment before': (end) => ({
    ConnectionOpen: ({ peer }) => {
      peer.method(0, 'ConnectionOpenOk');
      setImmediate(() => end(peer));
    },
  }),
  'the first channel': (end) => ({ ChannelOpen: ({ peer }) => end(peer) }),
  'the first channel, which is answered': (end) => ({
    ChannelOpen: ({ peer, channel }) => {
      peer.method(channel, 'ChannelOpenOk');
      end(peer);
    },
  }),
  'the end of the first channel': (end) => ({ ChannelClose: ({ peer }) => end(peer) }),
};

describe.each(Object.keys(ends))('a connection that is %s', (end) => {
  test.each(Object.keys(steps))('at %s is given up at once', async (step) => {
    const script = steps[step]?.(ends[end] as (peer: Peer) => void) ?? {};
    const server = await AmqpServer.start(script);
    onTestFinished(() => server.close());
    const opening = openRabbitMqBroker([server.url], { connectTimeoutMs: CONNECT_LIMIT_MS });
    const { message } = await rejection(opening, 'UNREACHABLE');
    expect(message).toContain(`127.0.0.1:${server.port}`);
  });
});
