import { createServer, type Server, type Socket } from 'node:net';
import { definitions, frames, methodId } from '../support/amqplib-codec.js';

type Fields = Readonly<Record<string, unknown>>;

/** One connection of the client, as a scene sees it. */
export class Peer {
  /** The how-manieth connection to the server, from 1 on. */
  readonly number: number;
  readonly #socket: Socket;
  /** Messages published, by channel: the tag of the last. A channel that is opened again starts over. */
  readonly published = new Map<number, number>();

  constructor(socket: Socket, number: number) {
    this.#socket = socket;
    this.number = number;
  }

  method(channel: number, name: string, fields: Fields = {}): void {
    this.raw(methodFrame(channel, name, fields));
  }

  raw(bytes: Uint8Array | string): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  end(): void {
    this.#socket.end();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }
}

export interface Received {
  readonly channel: number;
  readonly fields: Fields;
  readonly peer: Peer;
}

/**
 * What a scene does instead of a server's answer, by the method that is answered; `ProtocolHeader` is the client's
 * greeting. One that returns false leaves the answer to the server.
 */
export type Script = Readonly<Record<string, (received: Received) => unknown>>;

/** Speaks AMQP 0-9-1 as far as a client needs it, holds no messages, and misbehaves as its script says. */
export class AmqpServer {
  readonly port: number;
  readonly peers: Peer[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #script: Script;

  static async start(script: Script): Promise<AmqpServer> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new AmqpServer(server, script);
  }

  private constructor(server: Server, script: Script) {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    this.port = address.port;
    this.#server = server;
    this.#script = script;
    server.on('connection', (socket) => this.#serve(socket));
  }

  get url(): string {
    return `amqp://guest:guest@127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    const peer = new Peer(socket, this.peers.length + 1);
    this.peers.push(peer);
    let bytes: Buffer = Buffer.alloc(0);
    let hasGreeted = false;
    socket.on('data', (data) => {
      bytes = Buffer.concat([bytes, data]);
      if (!hasGreeted && bytes.length >= frames.PROTOCOL_HEADER.length) {
        hasGreeted = true;
        bytes = bytes.subarray(frames.PROTOCOL_HEADER.length);
        this.#answer('ProtocolHeader', { channel: 0, fields: {}, peer });
      }
      while (hasGreeted) {
        const frame = frames.parseFrame(bytes);
        if (frame === false) return;
        bytes = frame.rest;
        if (frame.type !== METHOD_FRAME) continue;
        const { id = 0, channel, fields = {} } = frames.decodeFrame(frame);
        this.#answer(definitions.info(id).name, { channel, fields, peer });
      }
    });
  }

  #answer(name: string, received: Received): void {
    const { channel, peer } = received;
    if (name === 'ChannelOpen') peer.published.delete(channel);
    if (name === 'BasicPublish') peer.published.set(channel, (peer.published.get(channel) ?? 0) + 1);
    const scripted = this.#script[name];
    if (scripted !== undefined && scripted(received) !== false) return;
    POLITE[name]?.(received);
  }
}

const METHOD_FRAME = 1;

export function methodFrame(channel: number, name: string, fields: Fields = {}): Buffer {
  return definitions.encodeMethod(methodId(name), channel, fields);
}

export const SERVER_PROPERTIES = {
  product: 'RabbitMQ',
  version: '4.3.6',
  capabilities: {
    publisher_confirms: true,
    'basic.nack': true,
    consumer_cancel_notify: true,
    'connection.blocked': true,
    per_consumer_qos: true,
    direct_reply_to: true,
  },
};

export const START = {
  versionMajor: 0,
  versionMinor: 9,
  serverProperties: SERVER_PROPERTIES,
  mechanisms: Buffer.from('PLAIN AMQPLAIN'),
  locales: Buffer.from('en_US'),
};

const answer =
  (name: string, fields: (received: Received) => Fields = () => ({})) =>
  (received: Received) =>
    received.peer.method(received.channel, name, fields(received));

/** A server in good order. Queues are there and empty. */
const POLITE: Script = {
  ProtocolHeader: answer('ConnectionStart', () => START),
  ConnectionStartOk: answer('ConnectionTune', () => ({ channelMax: 2047, frameMax: 131_072, heartbeat: 0 })),
  ConnectionOpen: answer('ConnectionOpenOk'),
  ConnectionClose: (received) => {
    answer('ConnectionCloseOk')(received);
    received.peer.end();
  },
  ChannelOpen: answer('ChannelOpenOk'),
  ChannelClose: answer('ChannelCloseOk'),
  ConfirmSelect: answer('ConfirmSelectOk'),
  ExchangeDeclare: answer('ExchangeDeclareOk'),
  QueueDeclare: answer('QueueDeclareOk', ({ fields }) => ({
    queue: fields.queue || 'amq.gen-1',
    messageCount: 0,
    consumerCount: 0,
  })),
  QueueBind: answer('QueueBindOk'),
  QueuePurge: answer('QueuePurgeOk', () => ({ messageCount: 0 })),
  QueueDelete: answer('QueueDeleteOk', () => ({ messageCount: 0 })),
  BasicQos: answer('BasicQosOk'),
  BasicConsume: answer('BasicConsumeOk', ({ fields }) => ({ consumerTag: fields.consumerTag })),
  BasicCancel: answer('BasicCancelOk', ({ fields }) => ({ consumerTag: fields.consumerTag })),
  BasicGet: answer('BasicGetEmpty'),
  BasicPublish: ({ channel, peer }) =>
    peer.method(channel, 'BasicAck', { deliveryTag: peer.published.get(channel) ?? 0, multiple: false }),
};
