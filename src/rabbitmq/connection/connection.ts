import { readFileSync } from 'node:fs';
import {
  type Channel,
  type ChannelModel,
  type ConfirmChannel,
  type ConsumeMessage,
  connect,
  type SocketOptions,
} from 'amqplib';
import {
  CLOSE_LIMIT_MS,
  onAbort,
  RPC_LIMIT_MS,
  settledWithin,
  timeoutText,
  within,
} from '../../common/limits.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { RabbitMqAddress } from '../address.js';
import type { RabbitMqSettings } from '../options.js';
import { DeliveryReader } from '../wire/delivery-reader.js';
import { isLoginRefusal, loginError, replyText } from './broker-errors.js';
import { unrefConnection } from './keep-alive.js';
import { type ServerVersion, serverVersion } from './server-version.js';
import { watchSilence } from './silence-watch.js';

/** What the broker says on a connection about publishing. */
export interface ConnectionListener {
  onBlocked(reason: string): void;
  onUnblocked(): void;
}

/** What client and broker agreed on at the log-in; 0: no limit, no heartbeat. */
export interface Agreed {
  /** Bytes. */
  readonly frameMax: number;
  readonly channelMax: number;
  readonly heartbeatSeconds: number;
}

/** One AMQP connection, from its opening to its end. It does not reconnect: that is the link's. */
export class Connection {
  /** The broker's address, without its password. */
  readonly address: string;
  readonly version: ServerVersion;
  readonly agreed: Agreed;
  /** Resolves, once, with the reason when the connection has ended, whoever ended it. */
  readonly closed: Promise<Error>;

  readonly #model: ChannelModel;
  readonly #socket: AbortController;
  readonly #deliveries: DeliveryReader;
  #failure: Error | undefined;
  #open = true;

  /**
   * Rejects, when the time limit or the signal ends it too: `ACCESS_REFUSED`, `UNREACHABLE`, `INVALID_OPTION`
   * for files that can't be read.
   */
  static async open(
    address: RabbitMqAddress,
    settings: RabbitMqSettings,
    name: string,
    listener: ConnectionListener,
    { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<Connection> {
    // amqplib hides its socket. The signal of its options is the way to it, for sockets that do not answer.
    const socket = new AbortController();
    const limitMs = Math.min(timeoutMs, address.connectTimeoutMs ?? timeoutMs);
    const destroy = () => socket.abort(signal.reason);
    const timer = setTimeout(() => socket.abort(), limitMs);
    const unlisten = onAbort(signal, destroy);
    try {
      const options = socketOptions(address, settings, name, socket.signal);
      const model = await connect(connectOptions(address, settings), options);
      const connection = new Connection(model, address.masked, socket, listener);
      if (signal.aborted) destroy();
      // The socket may have gone while amqplib's promise was resolving, when there were no listeners yet: only
      // an answer proves that the connection is alive, and that its end will be heard of.
      await connection.#prove(limitMs);
      unrefConnection(model.connection);
      return connection;
    } catch (error) {
      const timedOut = socket.signal.aborted && !signal.aborted;
      socket.abort();
      if (isQueueError(error, 'INVALID_OPTION')) throw error;
      if (isLoginRefusal(error)) throw loginError(error, address.masked);
      const why = timedOut ? timeoutText(limitMs, 'no answer') : replyText(error);
      throw new QueueError('UNREACHABLE', `${address.masked}: ${why}`, { cause: error });
    } finally {
      clearTimeout(timer);
      unlisten();
    }
  }

  private constructor(
    model: ChannelModel,
    address: string,
    socket: AbortController,
    listener: ConnectionListener,
  ) {
    this.#model = model;
    this.#socket = socket;
    this.address = address;
    this.version = serverVersion(model.connection.serverProperties.version);
    this.agreed = agreedOn(model.connection);
    // 'error' comes before 'close' for some ends and not at all for others; 'close' comes for each.
    model.on('error', (error) => {
      this.#failure ??= error;
    });
    const endWatch = watchSilence(model.connection, (seconds) => {
      this.#failure ??= new Error(`nothing came from the broker for ${seconds} s, not even a heartbeat`);
      this.destroy();
    });
    this.closed = new Promise((resolve) => {
      model.on('close', (reason) => {
        endWatch();
        this.#open = false;
        this.#failure ??= reason ?? new Error('the connection was closed');
        resolve(this.#failure);
      });
    });
    this.#deliveries = new DeliveryReader(model.connection);
    model.on('blocked', (reason) => listener.onBlocked(reason));
    model.on('unblocked', () => listener.onUnblocked());
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Why it ended; undefined as long as nothing is wrong. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  openChannel(): Promise<Channel> {
    return this.#opened(this.#model.createChannel());
  }

  /** See {@link DeliveryReader.receive}. */
  receive(channel: Channel, onMessage: (message: ConsumeMessage) => void): () => void {
    return this.#deliveries.receive(channel, onMessage);
  }

  openConfirmChannel(): Promise<ConfirmChannel> {
    return this.#opened(this.#model.createConfirmChannel());
  }

  /** Always resolves, within {@link CLOSE_LIMIT_MS}. */
  async close(): Promise<void> {
    if (this.#open) await settledWithin(this.#model.close(), CLOSE_LIMIT_MS);
    this.destroy();
  }

  /** Ends it without the peer's consent. */
  destroy(): void {
    this.#socket.abort();
  }

  async #opened<C extends Channel>(opening: Promise<C>): Promise<C> {
    // Without a listener an error of the channel would end the process. Who needs to know adds another.
    const safe = opening.then((channel) => channel.on('error', () => {}));
    try {
      const channel = await within(safe, 'opening a channel', { timeoutMs: RPC_LIMIT_MS });
      if (this.#open) return channel;
    } catch (error) {
      safe.then(closeChannel, () => {});
      throw error;
    }
    // Without the code of its end, which is no answer to this request.
    throw new Error('the connection was closed', { cause: this.#failure });
  }

  async #prove(timeoutMs: number): Promise<void> {
    const channel = await within(this.openChannel(), 'the first channel', { timeoutMs });
    await within(channel.close(), 'closing the first channel', { timeoutMs });
  }
}

/** Not among what amqplib declares of a connection. */
interface Tuned {
  readonly frameMax?: number;
  readonly channelMax?: number;
  readonly heartbeat?: number;
}

function agreedOn(connection: ChannelModel['connection'] & Tuned): Agreed {
  const { frameMax = 0, channelMax = 0, heartbeat = 0 } = connection;
  return { frameMax, channelMax, heartbeatSeconds: heartbeat };
}

/** Always resolves, within {@link CLOSE_LIMIT_MS}; a channel that is closed already is fine too. */
export function closeChannel(channel: Channel): Promise<void> {
  // An async function, because amqplib throws for a channel that is closed.
  return settledWithin((async () => channel.close())(), CLOSE_LIMIT_MS);
}

/** Calls back once with the reason when the channel has ended, however it ended. */
export function onChannelClosed(
  connection: Connection,
  channel: Channel,
  listener: (reason: Error, byServer: boolean) => void,
): void {
  let failure: Error | undefined;
  channel.on('error', (error) => {
    failure = error;
  });
  channel.on('close', () => {
    listener(failure ?? connection.failure ?? new Error('the channel was closed'), failure !== undefined);
  });
}

function connectOptions(address: RabbitMqAddress, settings: RabbitMqSettings) {
  const { host, port, username, password, channelMax, frameMax } = address;
  return {
    protocol: address.tls ? 'amqps' : 'amqp',
    hostname: host,
    port,
    username,
    password,
    vhost: vhostOption(address.vhost),
    heartbeat: address.heartbeatSeconds ?? settings.heartbeatSeconds,
    ...(channelMax === undefined ? {} : { channelMax }),
    ...(frameMax === undefined ? {} : { frameMax }),
  };
}

/**
 * amqplib decodes percent signs here too, and takes an empty text for the virtual host `/`. A text in an object is
 * not taken for an empty one, and decodes to what it is.
 */
function vhostOption(vhost: string): string {
  return vhost === '' ? (Object('') as string) : encodeURIComponent(vhost);
}

function socketOptions(
  address: RabbitMqAddress,
  { tls }: RabbitMqSettings,
  name: string,
  signal: AbortSignal,
): SocketOptions & { readonly signal: AbortSignal } {
  const options = { signal, noDelay: true, keepAlive: true, clientProperties: { connection_name: name } };
  if (!address.tls) return options;
  const given = {
    ...tls,
    ca: pemFile(address, 'cacertfile', address.caFile) ?? tls.ca,
    cert: pemFile(address, 'certfile', address.certFile) ?? tls.cert,
    key: pemFile(address, 'keyfile', address.keyFile) ?? tls.key,
    rejectUnauthorized: address.verifyPeer ?? tls.rejectUnauthorized,
    servername: address.servername ?? tls.servername,
  };
  // Node tells an option that is undefined from one that is not there.
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...options, ...set };
}

/** Read anew for each connection, so that renewed certificates are taken up. */
function pemFile(address: RabbitMqAddress, parameter: string, file: string | undefined): Buffer | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file);
  } catch (error) {
    throw new QueueError(
      'INVALID_OPTION',
      `the ${parameter} of ${address.masked} can't be read: ${replyText(error)}`,
      {
        cause: error,
      },
    );
  }
}
