import { type Channel, type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import {
  anyOf,
  CLOSE_LIMIT_MS,
  Deferred,
  onAbort,
  pause,
  RPC_LIMIT_MS,
  settledWithin,
  timeoutText,
  within,
} from '../../common/waiting/waiting.js';
import { isQueueError, QueueError } from '../../errors.js';
import type { RabbitMqAddress } from '../address.js';
import type { RabbitMqSettings } from '../options.js';
import type { ReceivedMessage } from '../wire/amqp-message.js';
import { DeliveryReader } from '../wire/delivery-reader.js';
import type { PublishInternals } from '../wire/publish-channel.js';
import { AmqplibInternals, type Negotiated } from './amqplib-internals.js';
import { connectErrorText, isLoginRefusal, isNotThere, loginError, portHint } from './broker-errors.js';
import { connectOptions, credentialsFor, keepSecretValid, socketOptions } from './log-in.js';
import { RequestChannels } from './request-channels.js';
import { type ServerVersion, serverVersion } from './server-version.js';
import { describeWrongServer, WrongServer } from './wrong-server.js';

const TRY_AGAIN_MS = 50;

/** A server that is silent for this long may not be a broker, but one that waits for more data from the client. */
const SILENCE_MS = 2_000;

/** Called when the broker blocks or unblocks publishing on a connection. */
interface ConnectionListener {
  onBlocked(reason: string): void;
  onUnblocked(): void;
}

/** Limits for opening a connection, and for its use. */
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
  /** Resolves with the reason when the connection has ended, whichever side ended it. */
  readonly closed: Promise<Error>;

  readonly #model: ChannelModel;
  readonly #socket: AbortController;
  readonly #internals: AmqplibInternals;
  readonly #deliveries: DeliveryReader;
  readonly #ended = new AbortController();
  #failure: Error | undefined;
  #open = true;

  /**
   * Rejects with `ACCESS_REFUSED`; with `UNREACHABLE`, also at the time limit and when the signal is aborted; and with
   * `INVALID_OPTION` for files that can't be read.
   */
  static async open(
    address: RabbitMqAddress,
    settings: RabbitMqSettings,
    name: string,
    listener: ConnectionListener,
    { signal, timeoutMs, maxRequestChannels }: OpenOptions,
  ): Promise<Connection> {
    // amqplib hides its socket. The signal in its options destroys it if the server does not answer.
    const socket = new AbortController();
    const limitMs = Math.min(timeoutMs, address.connectTimeoutMs ?? timeoutMs);
    const destroy = () => socket.abort(signal.reason);
    const timer = setTimeout(() => socket.abort(), limitMs);
    const unlisten = onAbort(signal, destroy);
    try {
      const credentials = await credentialsFor(address, settings, socket.signal);
      const options = socketOptions(address, settings, name, socket.signal);
      const logIn = connect(connectOptions(address, settings, credentials), options);
      const model = await unlessWrongServer(logIn, address, { signal: socket.signal, timeoutMs: limitMs });
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
      // The socket may have closed while amqplib's promise was resolving, before there were any listeners. Only an
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
        : connectErrorText(error, address.port);
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
    // amqplib always emits 'close', but 'error' before it only in some cases.
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

  /** Why the connection ended; undefined while it is open. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Opens a channel. If all negotiated channels are in use, it waits a while, since requests soon free theirs. */
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
    // This channel has no confirms, but amqplib would count unexpected ones, for minutes if a tag is far ahead.
    return channel.removeAllListeners('ack').removeAllListeners('nack');
  }

  /** See {@link DeliveryReader.receive}. */
  receive(channel: Channel, onMessage: (message: ReceivedMessage) => void): () => void {
    return this.#deliveries.receive(channel, onMessage);
  }

  /** The internals that a `PublishChannel` needs; undefined if amqplib must publish on its own. */
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

  /** Ends the connection without waiting for the peer. */
  destroy(): void {
    this.#socket.abort();
  }

  async #opened<C extends Channel>(opening: Promise<C>): Promise<C> {
    // Without a listener, an error of the channel would crash the process.
    const safe = opening.then((channel) => channel.on('error', () => {}));
    try {
      const channel = await within(safe, 'opening a channel', { timeoutMs: RPC_LIMIT_MS });
      if (this.#open) return channel;
    } catch (error) {
      safe.then(closeChannel, () => {});
      throw error;
    }
    // The broker's code is left out, since it is not about this request.
    throw new Error('the connection was closed', { cause: this.#failure });
  }

  async #prove(timeoutMs: number): Promise<void> {
    const channel = await within(this.openChannel(), 'the first channel', { timeoutMs });
    // amqplib never settles the closing of a channel whose connection ends meanwhile.
    const ended = this.closed.then((reason) => Promise.reject(reason));
    await within(Promise.race([channel.close(), ended]), 'closing the first channel', { timeoutMs });
  }
}

/** The outcome of a log-in. Rejects with `WrongServer` if it fails, or gets no answer, because of the server there. */
async function unlessWrongServer<T>(
  logIn: Promise<T>,
  address: RabbitMqAddress,
  { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<T> {
  const done = new AbortController();
  const asking = anyOf([signal, done.signal]);
  const found = new Deferred<never>();
  found.promise.catch(() => {});
  logIn.catch(() => {});
  void pause(Math.min(SILENCE_MS, timeoutMs / 2), asking.signal).then(async () => {
    const text = asking.signal.aborted ? undefined : await describeWrongServer(address, asking.signal);
    if (text !== undefined) found.reject(new WrongServer(text));
  });
  try {
    return await Promise.race([logIn, found.promise]);
  } catch (error) {
    if (error instanceof WrongServer || signal.aborted || isLoginRefusal(error) || isNotThere(error)) {
      throw error;
    }
    const text = await describeWrongServer(address, asking.signal);
    throw text === undefined ? error : new WrongServer(text, { cause: error });
  } finally {
    done.abort();
    asking.release();
  }
}

/** Closes a channel, if it is open. Always resolves, within {@link CLOSE_LIMIT_MS}. */
export function closeChannel(channel: Channel): Promise<void> {
  // An async function turns the exception that amqplib throws for a closed channel into a rejection.
  return settledWithin((async () => channel.close())(), CLOSE_LIMIT_MS);
}

/** Calls `listener` once, with the reason, when the channel has ended for any reason. */
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
