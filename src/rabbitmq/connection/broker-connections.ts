import type { BrokerState, Outage } from '../../broker.js';
import type { RabbitMqAddress } from '../address.js';
import type { RabbitMqSettings } from '../options.js';
import { Connection } from './connection.js';
import { ReconnectingConnection } from './reconnecting-connection.js';
import { MAX_REQUEST_CHANNELS } from './request-channels.js';
import { SeparateConnection } from './separate-connection.js';

/**
 * Two connections, since a broker that blocks publishers blocks their whole connection: one for consumers and everything
 * about queues, and one for publishing, which is opened at the first publish.
 */
export class BrokerConnections {
  readonly consume: ReconnectingConnection;
  readonly publish: ReconnectingConnection;
  /** For declarations whose refusal would end the connection they are made on. */
  readonly separate = new SeparateConnection(() => this.#openSeparate());
  readonly #addresses: readonly RabbitMqAddress[];
  readonly #settings: RabbitMqSettings;
  #url: string;

  /** `prepare` is called with each new connection for consumers before it is used. */
  constructor(
    addresses: readonly RabbitMqAddress[],
    settings: RabbitMqSettings,
    prepare: (connection: Connection) => Promise<void>,
  ) {
    this.#addresses = addresses;
    this.#settings = settings;
    this.#url = addresses[0]?.masked ?? '';
    this.consume = new ReconnectingConnection('consume', addresses, settings, prepare);
    // Messages that are sent again may be for a queue that has to be declared again.
    this.publish = new ReconnectingConnection('publish', addresses, settings, async () => {
      await this.consume.connected('publishing', {});
    });
    this.consume.listen({
      onConnected: (connection) => {
        this.#url = connection.address;
      },
    });
  }

  /** Calls back when one of them has ended permanently, after the listeners that were added before. */
  onEnded(callback: () => void): void {
    this.consume.listen({ onEnded: callback });
    this.publish.listen({ onEnded: callback });
  }

  /** The address of the last connection, without its password. */
  get url(): string {
    return this.#url;
  }

  get state(): BrokerState {
    // The second connection is opened when it is first needed, which is not an outage.
    const states = [this.consume.state, this.publish.isOpening ? 'idle' : this.publish.state];
    if (states.includes('closed')) return 'closed';
    if (states.includes('connecting')) return 'connecting';
    return this.publish.blocked ? 'blocked' : 'connected';
  }

  get outage(): Outage | undefined {
    return this.consume.outage ?? this.publish.outage;
  }

  get currentAddress(): RabbitMqAddress {
    const address = this.#addresses.find(({ masked }) => masked === this.#url) ?? this.#addresses[0];
    if (address === undefined) throw new Error('a broker has at least one address');
    return address;
  }

  #openSeparate(): Promise<Connection> {
    return Connection.open(
      this.currentAddress,
      this.#settings,
      `${this.#settings.connectionName} (declare)`,
      { onBlocked: () => {}, onUnblocked: () => {} },
      {
        signal: new AbortController().signal,
        timeoutMs: this.#settings.connectTimeoutMs,
        maxRequestChannels: MAX_REQUEST_CHANNELS,
      },
    );
  }

  /** Always resolves, within seconds. */
  async close(): Promise<void> {
    await Promise.all([this.publish.close(), this.consume.close()]);
  }
}
