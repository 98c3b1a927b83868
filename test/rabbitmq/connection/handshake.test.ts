import { describe, expect, onTestFinished, test } from 'vitest';
import { openRabbitMqBroker } from '../../../src/rabbitmq/rabbitmq-broker.js';
import { AmqpServer, type Peer, type Script } from '../../hostile/amqp-server.js';

/** Nothing but the end of the connection ends the wait within this limit. */
const CONNECT_LIMIT_MS = 3_600_000;

const ends: Record<string, (peer: Peer) => void> = {
  reset: (peer) => peer.reset(),
  ended: (peer) => peer.end(),
};

/** The methods of the client after which the connection ends; at most one answer comes before. */
const steps: Record<string, (end: (peer: Peer) => unknown) => Script> = {
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

describe.each(Object.keys(ends))('a connection that is %s', (ending) => {
  test.each(Object.keys(steps))('at %s is given up at once, and another one is tried', async (step) => {
    const end = ends[ending] as (peer: Peer) => void;
    let isUp = false;
    const script = steps[step]?.((peer) => (isUp ? false : end(peer))) ?? {};
    const server = await AmqpServer.start(script);
    onTestFinished(() => server.close());
    const reasons: string[] = [];
    const broker = await openRabbitMqBroker([server.url], {
      connectTimeoutMs: CONNECT_LIMIT_MS,
      observe: (event) => {
        if (event.type !== 'waiting') return;
        reasons.push(event.reason.message);
        isUp = true;
      },
    });
    onTestFinished(() => broker.close());
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toContain(`127.0.0.1:${server.port}`);
  });
});
