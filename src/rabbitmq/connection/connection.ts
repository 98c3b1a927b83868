import { type Channel, type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import {
  CLOSE_LIMIT_MS,
  onAbort,
  pause,
  RPC_LIMIT_MS,
  settledWithin,
  timeoutText,
  within,
} from '../../common/limits.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { RabbitMqAddress } from '../address.js';
import type { RabbitMqSettings } from '../options.js';
import type { ReceivedMessage } from '../wire/amqp-message.js';
import { DeliveryReader } from '../wire/delivery-reader.js';
import type { PublishInternals } from '../wire/publish-channel.js';
import { AmqplibInternals, type Negotiated } from './amqplib-internals.js';
import { connectErrorText, isLoginRefusal, loginError, portHint } from './broker-errors.js';
import { connectOptions, credentialsFor, keepSecretValid, socketOptions } from './log-in.js';
import { RequestChannels } from './request-channels.js';
import { type ServerVersion, serverVersion } from './server-version.js';

const TRY_AGAIN_MS = 50;

/** Notices of the broker about publishing on a connection. */
interface ConnectionListener {
  onBlocked(reason: string): void;
  onUnblocked(): void;
}

/** What bounds the opening of a connection, and what it is allowed later. */
interface OpenOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** How many channels may serve requests at once. */
  readonly maxRequestChannels: number;
}

/** One AMQP connection, from its opening to its end. It does not reconnect. */
export class Connection {
  /** The broker's address, without its password. */
  readonly address: string;
  readonly version: ServerVersion;
  readonly negotiated: Negotiated;
  readonly requestChannels: RequestChannels;
  /** Resolves, once, with the reason when the connection has ended, whoever ended it. */
  readonly closed: Promise<Error>;

  readonly #model: ChannelModel;
  readonly #socket: AbortController;
  readonly #internals: AmqplibInternals;
  readonly #deliveries: DeliveryReader;
  readonly #ended = new AbortController();
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
    { signal, timeoutMs, maxRequestChannels }: OpenOptions,
  ): Promise<Connection> {
    // amqplib hides its socket. The signal in its options ends one that does not answer.
    const socket = new AbortController();
    const limitMs = Math.min(timeoutMs, address.connectTimeoutMs ?? timeoutMs);
    const destroy = () => socket.abort(signal.reason);
    const timer = setTimeout(() => socket.abort(), limitMs);
    const unlisten = onAbort(signal, destroy);
    try {
      const credentials = await credentialsFor(address, settings, socket.signal);
      const options = socketOptions(address, settings, name, socket.signal);
      const model = await connect(connectOptions(address, settings, credentials), options);
      const internals = new AmqplibInternals(model.connection, settings.amqplibInternals);
      const connection = new Connection(
        model,
        internals,
        address.masked,
        socket,
        listener,
        maxRequestChannels,
      );
      if (signal.aborted) destroy();
      // The socket may have closed while amqplib's promise was resolving, when there were no listeners yet: only an
      // answer proves that the connection is alive, and that its end will be noticed.
      await connection.#prove(limitMs);
      internals.unref();
      void keepSecretValid(model, settings, credentials, connection.#ended.signal);
      return connection;
    } catch (error) {
      const timedOut = socket.signal.aborted && !signal.aborted;
      socket.abort();
      if (isQueueError(error, 'INVALID_OPTION')) throw error;
      if (isLoginRefusal(error)) throw loginError(error, address.masked);
      const why = timedOut
        ? timeoutText(limitMs, 'no answer') + portHint(address.port)
        : connectErrorText(error, address);
      throw new QueueError('UNREACHABLE', `${address.masked}: ${why}`, { cause: error });
    } finally {
      clearTimeout(timer);
      unlisten();
    }
  }

  private constructor(
    model: ChannelModel,
    internals: AmqplibInternals,
    address: string,
    socket: AbortController,
    listener: ConnectionListener,
    maxRequestChannels: number,
  ) {
    this.#model = model;
    this.#internals = internals;
    this.#socket = socket;
    this.address = address;
    this.version = serverVersion(model.connection.serverProperties.version);
    this.negotiated = internals.negotiated;
    this.requestChannels = new RequestChannels(
      { open: () => this.openChannel(), close: closeChannel },
      maxRequestChannels,
    );
    // 'error' comes before 'close' for some ends and not at all for others; 'close' comes for each.
    model.on('error', (error) => {
      this.#failure ??= error;
    });
    this.closed = new Promise((resolve) => {
      model.on('close', (reason) => {
        this.#open = false;
        this.#ended.abort();
        this.#failure ??= reason ?? new Error('the connection was closed');
        resolve(this.#failure);
      });
    });
    this.#deliveries = new DeliveryReader(internals.reading);
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

  /** Waits for a while where all that were agreed on are in use: those of requests are free again in a moment. */
  async openChannel(): Promise<Channel> {
    const until = performance.now() + RPC_LIMIT_MS;
    while (true) {
      try {
        return await this.#openChannel();
      } catch (error) {
        const isShortage = error instanceof Error && error.message === 'No channels left to allocate';
        if (!isShortage || performance.now() > until) throw error;
        await pause(TRY_AGAIN_MS);
      }
    }
  }

  async #openChannel(): Promise<Channel> {
    const channel = await this.#opened(this.#model.createChannel());
    // Nothing is confirmed here. amqplib counts confirms all the same, for minutes where a tag is far ahead.
    return channel.removeAllListeners('ack').removeAllListeners('nack');
  }

  /** See {@link DeliveryReader.receive}. */
  receive(channel: Channel, onMessage: (message: ReceivedMessage) => void): () => void {
    return this.#deliveries.receive(channel, onMessage);
  }

  /** For a `PublishChannel`; undefined where amqplib is to publish by itself. */
  publishInternals(channel: Channel): PublishInternals | undefined {
    return this.#internals.publishingOn(channel);
  }

  openConfirmChannel(): Promise<ConfirmChannel> {
    return this.#opened(this.#model.createConfirmChannel());
  }

  /** Always resolves, within {@link CLOSE_LIMIT_MS}. */
  async close(): Promise<void> {
    if (this.#open) await settledWithin(this.#model.close(), CLOSE_LIMIT_MS);
    this.destroy();
  }

  /** Ends it without the peer. */
  destroy(): void {
    this.#socket.abort();
  }

  async #opened<C extends Channel>(opening: Promise<C>): Promise<C> {
    // Without a listener an error of the channel would end the process.
    const safe = opening.then((channel) => channel.on('error', () => {}));
    try {
      const channel = await within(safe, 'opening a channel', { timeoutMs: RPC_LIMIT_MS });
      if (this.#open) return channel;
    } catch (error) {
      safe.then(closeChannel, () => {});
      throw error;
    }
    // Without the broker's code, which is no answer to this request.
    throw new Error('the connection was closed', { cause: this.#failure });
  }

  async #prove(timeoutMs: number): Promise<void> {
    const channel = await within(this.openChannel(), 'the first channel', { timeoutMs });
    await within(channel.close(), 'closing the first channel', { timeoutMs });
  }
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
