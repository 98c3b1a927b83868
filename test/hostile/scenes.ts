import { frames } from '../support/amqplib-codec.js';
import { methodFrame, type Peer, type Received, type Script, START } from './amqp-server.js';
import { delivery, deliveryWith, frame, HEADER_FRAME, longLong, methodWith, nestedTable } from './frames.js';

/** What the client came to: `ok` or the code of an error, by what it did. */
export type Outcomes = Readonly<Record<string, string>>;

export interface Scene {
  readonly script: Script;
  /** Deliveries that the server makes in good order, and that have to be handled. */
  readonly handles?: number;
  /** What has to be true besides what holds for all scenes. */
  readonly outcomes?: Outcomes;
}

const SENDS = { 'send 1': 'ok', 'send 2': 'ok', 'send 3': 'ok', sendMany: 'ok' };

/** Does it on the first connections only: what comes after them is served in good order. */
const TIMES = 4;
const atFirst =
  (misbehave: (received: Received) => unknown) =>
  (received: Received): unknown =>
    received.peer.number <= TIMES ? misbehave(received) : false;

const silence = () => {};

/** Instead of the answer to the greeting. */
const greetings: Record<string, (peer: Peer) => void> = {
  nothing: silence,
  'the end of the connection': (peer) => peer.end(),
  'a reset': (peer) => peer.reset(),
  'an HTTP answer': (peer) => peer.raw('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'),
  'the header of another protocol': (peer) => peer.raw(Buffer.from('AMQP\0\x01\0\0', 'latin1')),
  'zeros without end': (peer) => peer.raw(Buffer.alloc(200_000)),
  'a frame of 4 GiB': (peer) => peer.raw(Buffer.from('01 0000 ffffffff 000a000a'.replaceAll(' ', ''), 'hex')),
  'a method for which there is no number': (peer) => peer.raw(frame(1, 0, Buffer.from('ffffffff', 'hex'))),
  'a method that is cut off': (peer) => peer.raw(frame(1, 0, Buffer.from('000a000a00', 'hex'))),
  'properties nested without end': (peer) =>
    peer.raw(methodWith(0, 'ConnectionStart', START, (payload) => spliceTable(payload))),
  'a method that only clients send': (peer) => peer.method(0, 'ConnectionOpen', { virtualHost: '/' }),
  'no way to log in': (peer) => peer.method(0, 'ConnectionStart', { ...START, mechanisms: Buffer.from('') }),
  'a close': (peer) => peer.method(0, 'ConnectionClose', closing(530)),
  'heartbeats and nothing else': (peer) => peer.raw(frames.HEARTBEAT_BUF),
};

function spliceTable(payload: Buffer): Buffer {
  return Buffer.concat([payload.subarray(0, 6), nestedTable(5000), payload.subarray(payload.length - 30)]);
}

function closing(replyCode: number) {
  return { replyCode, replyText: 'the scene wants it', classId: 60, methodId: 40 };
}

const tunes: Record<string, object> = {
  'no frame is large enough for anything': { channelMax: 2047, frameMax: 8, heartbeat: 0 },
  'no limit to frames and channels': { channelMax: 0, frameMax: 0, heartbeat: 0 },
  'one channel': { channelMax: 1, frameMax: 131_072, heartbeat: 0 },
  'frames of 4 GiB': { channelMax: 65_535, frameMax: 0xffffffff, heartbeat: 65_535 },
};

/** Confirms that confirm something else than was sent, in place of each right one. */
const confirms: Record<string, { script: (received: Received) => unknown; outcomes?: Outcomes }> = {
  'none ever': { script: silence },
  'the tag 0, for all so far': {
    script: ({ peer, channel }) => peer.method(channel, 'BasicAck', { deliveryTag: 0, multiple: true }),
    outcomes: SENDS,
  },
  'the tag 0, for one': {
    script: ({ peer, channel }) => peer.method(channel, 'BasicAck', { deliveryTag: 0, multiple: false }),
  },
  'each three times': {
    script: ({ peer, channel }) => {
      const deliveryTag = peer.published.get(channel) ?? 0;
      for (let time = 0; time < 3; time++) peer.method(channel, 'BasicAck', { deliveryTag, multiple: false });
    },
    outcomes: SENDS,
  },
  'both kinds for each': {
    script: ({ peer, channel }) => {
      const deliveryTag = peer.published.get(channel) ?? 0;
      peer.method(channel, 'BasicAck', { deliveryTag, multiple: false });
      peer.method(channel, 'BasicNack', { deliveryTag, multiple: false, requeue: false });
    },
    outcomes: SENDS,
  },
  ...Object.fromEntries(
    ['BasicAck', 'BasicNack'].flatMap((verb) =>
      [false, true].flatMap((multiple) =>
        [10n ** 9n, 2n ** 52n, 2n ** 53n + 1n, 2n ** 64n - 1n].map((tag) => [
          `${verb} of ${tag}${multiple ? ' and all before' : ''}`,
          {
            script: ({ peer, channel }: Received) =>
              peer.raw(
                methodWith(channel, verb, { deliveryTag: 1, multiple, requeue: false }, (payload) => {
                  longLong(tag).copy(payload, 4);
                  return payload;
                }),
              ),
          },
        ]),
      ),
    ),
  ),
  'a returned message that nobody sent': {
    script: ({ peer, channel }) => {
      const returned = { replyCode: 312, replyText: 'NO_ROUTE', exchange: '', routingKey: 'queue' };
      peer.method(channel, 'BasicReturn', returned);
      peer.raw(deliveryWith({ channel, withoutMethod: true, properties: { messageId: 'a stranger' } }));
      return false;
    },
    outcomes: SENDS,
  },
  ...Object.fromEntries(
    [0, 200, 311, 403, 404, 406, 504, 541, 65_535].map((code) => [
      `a channel closed with ${code}`,
      { script: atFirst(({ peer, channel }) => peer.method(channel, 'ChannelClose', closing(code))) },
    ]),
  ),
  ...Object.fromEntries(
    [0, 320, 402, 501, 505, 541, 65_535].map((code) => [
      `a connection closed with ${code}`,
      { script: atFirst(({ peer }) => peer.method(0, 'ConnectionClose', closing(code))) },
    ]),
  ),
  'the end of the connection': { script: atFirst(({ peer }) => peer.end()) },
};

/**
 * Stores the first two messages of a channel and refuses the third before the confirms of the two are out. What is on its
 * way on that channel by then is not read. `again` answers what is sent afterwards.
 */
function refusingTheThird(again: (received: Received) => unknown): Script {
  let refused: { readonly peer: Peer; readonly channel: number; isOpenAgain: boolean } | undefined;
  const isThere = ({ peer, channel }: Received) => refused?.peer === peer && refused.channel === channel;
  return {
    ChannelOpen: (received) => {
      if (refused !== undefined && isThere(received)) refused.isOpenAgain = true;
      return false;
    },
    BasicPublish: (received) => {
      const { peer, channel } = received;
      if (refused !== undefined) return isThere(received) && !refused.isOpenAgain ? true : again(received);
      if (peer.published.get(channel) !== 3) return true;
      refused = { peer, channel, isOpenAgain: false };
      peer.method(channel, 'ChannelClose', NO_ACCESS);
      return true;
    },
  };
}

const NO_ACCESS = {
  ...closing(403),
  replyText: "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'",
};

/** After the answer to `consume`, on the channel of that consumer. */
const deliveries: Record<string, { sends: (channel: number, tag: string) => Buffer; handles?: number }> = {
  'in good order': { sends: (channel, tag) => deliveryWith({ channel, consumerTag: tag }), handles: 1 },
  'without a body': { sends: (channel, tag) => deliveryWith({ channel, consumerTag: tag, body: '' }) },
  'for a consumer that is none': { sends: (channel) => deliveryWith({ channel, consumerTag: 'nobody' }) },
  'on a channel that is none': { sends: (_, tag) => deliveryWith({ channel: 999, consumerTag: tag }) },
  'on channel 0': { sends: (_, tag) => deliveryWith({ channel: 0, consumerTag: tag }) },
  'without a method': { sends: (channel) => deliveryWith({ channel, withoutMethod: true }) },
  'with a body that is larger than announced': {
    sends: (channel, consumerTag) => deliveryWith({ channel, consumerTag, announced: 1n }),
  },
  'with a body that never comes to its end': {
    sends: (channel, consumerTag) => deliveryWith({ channel, consumerTag, announced: 1000n }),
  },
  'with a body of 2^63 bytes': {
    sends: (channel, consumerTag) => deliveryWith({ channel, consumerTag, announced: 2n ** 63n }),
  },
  'interrupted by another': {
    sends: (channel, consumerTag) => {
      const whole = deliveryWith({ channel, consumerTag });
      return Buffer.concat([whole.subarray(0, delivery.methodEnd(whole)), whole]);
    },
  },
  'with an end of frame that is none': {
    sends: (channel, consumerTag) => {
      const whole = deliveryWith({ channel, consumerTag });
      whole[whole.length - 1] = 0;
      return whole;
    },
  },
  'with properties of another class': {
    sends: (channel, consumerTag) =>
      deliveryWith({ channel, consumerTag, header: frame(HEADER_FRAME, channel, Buffer.alloc(14, 1)) }),
  },
  'with properties that are cut off': {
    sends: (channel, consumerTag) =>
      deliveryWith({
        channel,
        consumerTag,
        header: frame(HEADER_FRAME, channel, Buffer.from('003c0000000000000000000af800', 'hex')),
      }),
  },
  'with a text that runs over its frame': {
    sends: (channel, consumerTag) =>
      deliveryWith({
        channel,
        consumerTag,
        header: frame(HEADER_FRAME, channel, Buffer.from('003c000000000000000000038000ff61', 'hex')),
      }),
  },
  'with headers that run over their frame': {
    sends: (channel, consumerTag) =>
      deliveryWith({
        channel,
        consumerTag,
        header: frame(
          HEADER_FRAME,
          channel,
          Buffer.from('003c0000000000000000000320000000ffff016153000000ff61', 'hex'),
        ),
      }),
  },
  'with headers nested without end': {
    sends: (channel, consumerTag) =>
      deliveryWith({
        channel,
        consumerTag,
        header: frame(
          HEADER_FRAME,
          channel,
          Buffer.concat([Buffer.from('003c000000000000000000032000', 'hex'), nestedTable(5000)]),
        ),
      }),
  },
  'in a flood beyond the prefetch': {
    sends: (channel, consumerTag) =>
      Buffer.concat(
        Array.from({ length: 20_000 }, (_, index) =>
          deliveryWith({
            channel,
            consumerTag,
            tag: BigInt(index + 1),
            body: JSON.stringify('x'.repeat(500)),
          }),
        ),
      ),
  },
  'with the same tag again and again': {
    sends: (channel, consumerTag) =>
      Buffer.concat(Array.from({ length: 50 }, () => deliveryWith({ channel, consumerTag }))),
  },
  ...Object.fromEntries(
    [0n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n].map((tag) => [
      `with the tag ${tag}`,
      { sends: (channel: number, consumerTag: string) => deliveryWith({ channel, consumerTag, tag }) },
    ]),
  ),
};

export const scenes: Readonly<Record<string, Scene>> = {
  'a server in good order': { script: {}, outcomes: { ...SENDS, start: 'ok', stop: 'ok', close: 'ok' } },
  ...Object.fromEntries(
    Object.entries(greetings).map(([title, greet]) => [
      `greeted with ${title}`,
      { script: { ProtocolHeader: ({ peer }) => greet(peer) } } satisfies Scene,
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(tunes).map(([title, tune]) => [
      `tuned to ${title}`,
      {
        script: { ConnectionStartOk: ({ peer }) => peer.method(0, 'ConnectionTune', { ...tune }) },
      } satisfies Scene,
    ]),
  ),
  ...Object.fromEntries(
    [
      'ConnectionOpen',
      'ChannelOpen',
      'ConfirmSelect',
      'QueueDeclare',
      'BasicQos',
      'BasicConsume',
      'BasicCancel',
      'ChannelClose',
      'ConnectionClose',
    ].map((method) => [`no answer to ${method}`, { script: { [method]: silence } } satisfies Scene]),
  ),
  ...Object.fromEntries(
    Object.entries(confirms).map(([title, { script, outcomes }]) => [
      `confirmed by ${title}`,
      { script: { BasicPublish: script }, ...(outcomes && { outcomes }) } satisfies Scene,
    ]),
  ),
  'the third message is refused before two that are stored were confirmed, and all is taken afterwards': {
    script: refusingTheThird(() => false),
    outcomes: { 'send 1': 'ok', 'send 2': 'ok', 'send again': 'ok' },
  },
  'the third message is refused before two that are stored were confirmed, and all is refused afterwards': {
    script: refusingTheThird(({ peer, channel }) => peer.method(channel, 'ChannelClose', NO_ACCESS)),
    outcomes: { 'send 1': 'UNCONFIRMED', 'send 2': 'UNCONFIRMED', 'send again': 'ACCESS_REFUSED' },
  },
  'confirms for messages that are still to be sent': {
    script: {
      ConfirmSelect: ({ peer, channel }) => {
        peer.method(channel, 'ConfirmSelectOk');
        for (let tag = 1; tag <= 100; tag++)
          peer.method(channel, 'BasicAck', { deliveryTag: tag, multiple: false });
        return true;
      },
    },
  },
  ...Object.fromEntries(
    Object.entries(deliveries).map(([title, { sends, handles }]) => [
      `a delivery ${title}`,
      {
        script: {
          BasicConsume: ({ peer, channel, fields }) => {
            const tag = String(fields.consumerTag);
            peer.method(channel, 'BasicConsumeOk', { consumerTag: tag });
            if (peer.number <= TIMES) peer.raw(sends(channel, tag));
          },
        },
        ...(handles !== undefined && { handles }),
      } satisfies Scene,
    ]),
  ),
  'a consumer that is confirmed under another name': {
    script: {
      BasicConsume: ({ peer, channel }) => peer.method(channel, 'BasicConsumeOk', { consumerTag: 'another' }),
    },
  },
  'consumers that are cancelled at once, again and again': {
    script: {
      BasicConsume: ({ peer, channel, fields: { consumerTag } }) => {
        peer.method(channel, 'BasicConsumeOk', { consumerTag });
        peer.method(channel, 'BasicCancel', { consumerTag, nowait: true });
      },
    },
  },
  'answers that nobody waits for': {
    script: {
      ChannelOpen: ({ peer, channel }) => {
        peer.method(channel, 'ChannelOpenOk');
        for (const name of ['QueueDeclareOk', 'BasicConsumeOk', 'ConfirmSelectOk']) {
          if (peer.number > TIMES) return;
          peer.method(channel, name, { queue: 'x', messageCount: 1, consumerCount: 1, consumerTag: 'x' });
        }
      },
    },
  },
  'the answer to another question': {
    script: {
      QueueDeclare: atFirst(({ peer, channel }) => peer.method(channel, 'BasicQosOk')),
    },
  },
  'a flood of blocked and unblocked': {
    script: {
      ConnectionOpen: ({ peer }) => {
        peer.method(0, 'ConnectionOpenOk');
        const both = Buffer.concat([
          methodFrame(0, 'ConnectionBlocked', { reason: 'x'.repeat(200) }),
          methodFrame(0, 'ConnectionUnblocked'),
        ]);
        peer.raw(Buffer.concat(Array.from({ length: 5000 }, () => both)));
      },
    },
    outcomes: SENDS,
  },
};
