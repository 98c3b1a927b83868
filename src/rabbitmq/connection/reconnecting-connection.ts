import type { BrokerEvent, Outage, WaitOptions } from '../../broker.js';
import { backoffMs, Deferred, pause, within, withOutage } from '../../common/waiting/waiting.js';
import { QueueError } from '../../errors.js';
import type { RabbitMqAddress } from '../address.js';
import type { RabbitMqSettings } from '../options.js';
import { causedByRequest } from './broker-errors.js';
import { Connection } from './connection.js';
import { findBroker, tryAddresses } from './find-broker.js';
import { MAX_REQUEST_CHANNELS } from './request-channels.js';

const UNBLOCKED_POLL_MS = 50;

/** A connection that lasted less than this does not reset the back-off. */
const STABLE_AFTER_MS = 5_000;

interface LinkListener {
  onConnected?(connection: Connection): void;
  /** Called after each loss, and after each failed attempt to reconnect. */
  onDisconnected?(): void;
  onBlocked?(): void;
  onUnblocked?(): void;
  /** Called when no further connection will be made. */
  onEnded?(error: QueueError): void;
}

/**
 * A connection that is re-established whenever it is lost.
 *
 *                    ┌────── try failed, back-off ──────┐
 *                    ▼                                  │
 *   idle ──open──► connecting ──connected, prepared──► connected
 *                    │    ▲                             │
 *                    │    └────────── lost, back-off ───┘
 *                    │
 *                    └─ refused, or limits used up ─► closed ◄── close(), from anywhere
 */
export class ReconnectingConnection {
  readonly name: 'publish' | 'consume';
  readonly #addresses: readonly RabbitMqAddress[];
  readonly #settings: RabbitMqSettings;
  /** Prepares each new connection before it is used. */
  readonly #prepare: (connection: Connection) => Promise<void>;
  readonly #listeners = new Set<LinkListener>();
  /** Calls that wait for a connection, each with its own limit. */
  readonly #waiters = new Set<Deferred<Connection>>();
  readonly #closing = new AbortController();

  #state: 'idle' | 'connecting' | 'connected' | 'closed' = 'idle';
  #connection: Connection | undefined;
  #connectedAt = 0;
  /** Attempts since the last stable connection. */
  #attempts = 0;
  #blocked = false;
  #unblockedAt = Number.NEGATIVE_INFINITY;
  #everConnected = false;
  #ended: QueueError | undefined;
  /** Why there is no connection at the moment. */
  #outage: Outage | undefined;
  #maxRequestChannels = MAX_REQUEST_CHANNELS;

  constructor(
    name: 'publish' | 'consume',
    addresses: readonly RabbitMqAddress[],
    settings: RabbitMqSettings,
    prepare: (connection: Connection) => Promise<void>,
  ) {
    this.name = name;
    this.#addresses = addresses;
    this.#settings = settings;
    this.#prepare = prepare;
  }

  get state(): 'idle' | 'connecting' | 'connected' | 'closed' {
    return this.#state;
  }

  /** The current connection, if there is one. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** The capacity of a frame on the current connection, in bytes; `Infinity` if unknown. */
  get frameMax(): number {
    return this.#connection?.negotiated.frameMax || Number.POSITIVE_INFINITY;
  }

  /** Why the last connection or attempt failed; undefined while there is a connection, or before the first failure. */
  get outage(): Outage | undefined {
    return this.#outage;
  }

  /** The age of the current connection, in milliseconds. */
  get connectedForMs(): number {
    return performance.now() - this.#connectedAt;
  }

  /** Whether the broker accepts no publishes at the moment. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Whether the first connection is still being made, and no attempt has failed yet. */
  get isOpening(): boolean {
    return this.#state === 'connecting' && !this.#everConnected && this.#attempts === 0;
  }

  /** Resolves when the broker accepts publishes again, or when the signal is aborted. */
  async unblocked(signal: AbortSignal): Promise<void> {
    while (this.#blocked && !signal.aborted) await pause(UNBLOCKED_POLL_MS, signal);
  }

  /** Whether the broker was blocked at any time since `begin`, on the clock of `performance.now()`. */
  wasBlockedSince(begin: number): boolean {
    return this.#blocked || this.#unblockedAt >= begin;
  }

  listen(listener: LinkListener): void {
    this.#listeners.add(listener);
  }

  /**
   * Connects. Until the time limit it waits for a broker that is not up yet. Anything that waiting can't change ends it
   * at once: a refusal, or another server at the address. If it fails, it is closed.
   */
  async open(): Promise<void> {
    this.#state = 'connecting';
    try {
      await findBroker(
        (deadline) => this.#connect(deadline),
        this.#settings,
        this.#closing.signal,
        (waiting) => this.#emit(waiting),
      );
    } catch (error) {
      const reason = error instanceof QueueError ? error : new QueueError('UNREACHABLE', String(error));
      this.#end(reason);
      throw reason;
    }
  }

  /** Connects in the background, for as long as it takes. */
  start(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'connecting';
    this.#connect().catch((error) => this.#reconnect(error));
  }

  /** Resolves to the connection as soon as there is one. Rejects: `TIMEOUT`, `ABORTED`, `CLOSED`. */
  async connected(what: string, wait: WaitOptions): Promise<Connection> {
    if (this.#connection?.isOpen) return this.#connection;
    if (this.#ended !== undefined) throw this.#ended;
    const waiter = new Deferred<Connection>();
    this.#waiters.add(waiter);
    try {
      return await this.within(waiter.promise, `${what}: waiting for the broker`, wait);
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  /** Like the function `within`, but a `TIMEOUT` includes the reason for the missing connection. */
  async within<T>(work: Promise<T>, what: string, wait: WaitOptions): Promise<T> {
    try {
      return await within(work, what, wait);
    } catch (error) {
      throw withOutage(error, this.#outage);
    }
  }

  /** Always resolves, within seconds. */
  async close(): Promise<void> {
    this.#end(new QueueError('CLOSED', 'the broker was closed'));
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.close();
  }

  /** The time limit is for all addresses together. */
  #connect(deadline = performance.now() + this.#settings.connectTimeoutMs): Promise<void> {
    const connectTo = (address: RabbitMqAddress, timeoutMs: number) => this.#connectTo(address, timeoutMs);
    return tryAddresses(this.#addresses, connectTo, deadline, this.#closing.signal);
  }

  async #connectTo(address: RabbitMqAddress, timeoutMs: number): Promise<void> {
    const connection = await Connection.open(
      address,
      this.#settings,
      `${this.#settings.connectionName} (${this.name})`,
      {
        onBlocked: (reason) => this.#onBlocked(reason),
        onUnblocked: () => this.#onUnblocked(),
      },
      { signal: this.#closing.signal, timeoutMs, maxRequestChannels: this.#maxRequestChannels },
    );
    const lost = connection.closed.then((reason) => {
      throw new QueueError('UNREACHABLE', `${connection.address}: ${reason.message}`, { cause: reason });
    });
    try {
      await Promise.race([this.#prepare(connection), lost]);
    } catch (error) {
      connection.destroy();
      throw error;
    }
    if (this.#closing.signal.aborted) {
      connection.destroy();
      throw this.#ended;
    }
    lost.catch((error) => this.#onLost(connection, error.cause));
    this.#onConnected(connection);
  }

  #onConnected(connection: Connection): void {
    this.#state = 'connected';
    this.#outage = undefined;
    this.#connection = connection;
    this.#connectedAt = performance.now();
    this.#everConnected = true;
    this.#emit({ type: 'connected', connection: this.name, url: connection.address });
    for (const listener of this.#listeners) listener.onConnected?.(connection);
    for (const waiter of this.#waiters) waiter.resolve(connection);
  }

  #onLost(connection: Connection, reason: Error): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    this.#state = 'connecting';
    this.#onUnblocked();
    if (performance.now() - this.#connectedAt >= STABLE_AFTER_MS) this.#attempts = 0;
    void this.#reconnect(reason);
  }

  /** Never rejects. Ends with a connection or with the link closed. */
  async #reconnect(reason: Error): Promise<void> {
    const { reconnect } = this.#settings;
    let failure = reason;
    while (!this.#closing.signal.aborted) {
      this.#outage = { reason: failure, since: this.#outage?.since ?? Date.now() };
      // Perhaps a channel limit was reached: with one request at a time there is room for more consumers.
      if (causedByRequest(failure) || causedByRequest(failure.cause)) this.#maxRequestChannels = 1;
      this.#attempts++;
      const givenUp = this.#attempts > reconnect.maxAttempts;
      const retryInMs = givenUp ? undefined : backoffMs(this.#attempts, reconnect);
      this.#emit({ type: 'disconnected', connection: this.name, reason: failure, retryInMs });
      for (const listener of this.#listeners) listener.onDisconnected?.();
      if (retryInMs === undefined) {
        this.#end(
          new QueueError(
            'CLOSED',
            `gave up on the broker after ${reconnect.maxAttempts} attempts to reconnect`,
            {
              cause: failure,
            },
          ),
        );
        return;
      }
      await pause(retryInMs, this.#closing.signal);
      try {
        if (!this.#closing.signal.aborted) return await this.#connect();
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error));
      }
    }
  }

  #end(error: QueueError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#state = 'closed';
    this.#closing.abort(error);
    for (const waiter of this.#waiters) waiter.reject(error);
    for (const listener of this.#listeners) listener.onEnded?.(error);
  }

  #onBlocked(reason: string): void {
    if (this.#blocked) return;
    this.#blocked = true;
    this.#emit({ type: 'blocked', reason });
    for (const listener of this.#listeners) listener.onBlocked?.();
  }

  #onUnblocked(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#unblockedAt = performance.now();
    this.#emit({ type: 'unblocked' });
    for (const listener of this.#listeners) listener.onUnblocked?.();
  }

  #emit(event: BrokerEvent): void {
    this.#settings.observe(event);
  }
}
